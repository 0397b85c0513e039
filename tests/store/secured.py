"""Secured servers: TLS with a private authority, users with passwords, sentinels."""

import datetime
import ipaddress
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests import servers
from tests.ports import free_port


class Authority:
    """Signs certificates; everything lies in *folder*: `ca.pem`, and a `.pem` and a `.key` for each name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = _name("an authority of the tests")
        certificate = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self._write("ca.pem", certificate)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def sign(self, name: str, *addresses: str) -> None:
        """For a server at *addresses*, or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses)]
        self._write(f"{name}.pem", self._certificate(_name(name), key, x509.SubjectAlternativeName(names)))
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        return builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints)).sign(
            self._key, hashes.SHA256()
        )

    def _write(self, name: str, certificate: x509.Certificate) -> None:
        (self.folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Secured:
    """A server that speaks TLS on `tls_port`, and plainly (for the tests' own needs) on its port."""

    def __init__(self, server: servers.Server, authority: Authority, tls_port: int) -> None:
        self.server, self.authority, self.tls_port = server, authority, tls_port


@contextmanager
def secured(wants_client_certificate: bool = False) -> Iterator[Secured]:
    """One, with a certificate for localhost and 127.0.0.1, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="streamlimit-tls-") as folder:
        authority, tls_port = Authority(Path(folder)), free_port()
        authority.sign("localhost", "127.0.0.1")
        authority.sign("worker")
        options = ["--tls-port", str(tls_port), "--tls-ca-cert-file", str(authority.ca)]
        options += ["--tls-cert-file", f"{folder}/localhost.pem", "--tls-key-file", f"{folder}/localhost.key"]
        options += ["--tls-auth-clients", "yes" if wants_client_certificate else "no"]
        server = servers.Server(servers.binary("redis"), free_port(), folder, *options)
        try:
            yield Secured(server, authority, tls_port)
        finally:
            server.stop()


class Watched:
    """A primary and its replica, watched by three sentinels under the name `films`."""

    def __init__(self, primary: servers.Server, replica: servers.Server, ports: list[int]) -> None:
        self.primary, self.replica, self.ports = primary, replica, ports

    @property
    def url(self) -> str:
        return "valkey+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + "/films"


@contextmanager
def watched() -> Iterator[Watched]:
    """All of them, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="streamlimit-sentinels-") as folder, ExitStack() as stack:
        binary = servers.binary("redis")
        options = ("--repl-diskless-sync-delay", "0")
        primary = servers.Server(binary, free_port(), folder, *options)
        stack.callback(primary.stop)
        replica = servers.Server(binary, free_port(), folder, *options, "--replicaof", f"127.0.0.1 {primary.port}")
        stack.callback(replica.stop)
        servers.wait_until(lambda: replica.info("master_link_status") == "up", "the replica")
        ports = [free_port() for _ in range(3)]
        clients = [_sentinel(stack, binary, Path(folder), port, primary.port) for port in ports]
        servers.wait_until(lambda: all(map(_sees_all, clients)), "the sentinels to find each other")
        yield Watched(primary, replica, ports)


def _sentinel(stack: ExitStack, binary: str, folder: Path, port: int, primary: int) -> servers.Valkey:
    home = folder / str(port)
    home.mkdir()
    lines = [f"port {port}", "bind 127.0.0.1", f"dir {home}", f"logfile {home}/log"]
    lines += [f"sentinel monitor films 127.0.0.1 {primary} 2", "sentinel down-after-milliseconds films 500"]
    lines += ["sentinel failover-timeout films 3000"]
    (home / "sentinel.conf").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen([binary, str(home / "sentinel.conf"), "--sentinel"], stdout=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return servers.Valkey(port=port, socket_timeout=5)


def _sees_all(sentinel: servers.Valkey) -> bool:
    try:
        state = sentinel.execute_command("SENTINEL MASTER", "films")
    except servers.ValkeyError:
        return False
    if not isinstance(state, dict):
        texts = [part.decode() if isinstance(part, bytes) else str(part) for part in state]
        state = dict(zip(texts[::2], texts[1::2], strict=True))
    return int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1
