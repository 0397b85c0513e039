"""The parts of the `store` setting's URL for Valkey and Redis. Opens nothing.

    valkey://user:password@host:6379/0          one server
    valkeys://host:6380?ca=/etc/ca.pem          the same over TLS
    valkey+cluster://a:6379,b:6379              a cluster; the hosts are where to ask first
    valkey+sentinel://a:26379,b:26379/mymaster  whom the sentinels call the primary of `mymaster`

`redis` for `valkey` means the same, `rediss`/`valkeys` is TLS, and so is `?tls=true`. `?ca=` names the file of the
authority, `?cert=` and `?key=` a client certificate, `?verify=false` accepts any certificate.
"""

import ssl
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit

from streamlimit.errors import SettingsError

Address = tuple[str, int]

DEFAULT_PORTS = {"": 6379, "cluster": 6379, "sentinel": 26379}
OPTIONS = frozenset({"tls", "ca", "cert", "key", "verify"})


class Layout(StrEnum):
    """How the servers are arranged."""

    SINGLE = ""
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


@dataclass(frozen=True, slots=True)
class Location:
    """A URL's parts. `seeds` is the one server, some of the cluster's, or the sentinels."""

    layout: Layout
    seeds: tuple[Address, ...]
    user: str | None = None
    password: str | None = None
    db: int = 0
    service: str = ""
    tls: ssl.SSLContext | None = None


def shown(address: Address) -> str:
    """*address* as text, for messages."""
    return f"{address[0]}:{address[1]}"


def parse(url: str) -> Location:
    """The parts of *url*. Raises `SettingsError` where it has none of the forms above."""
    parts = urlsplit(url)
    scheme, _, arrangement = parts.scheme.partition("+")
    if scheme not in {"valkey", "valkeys", "redis", "rediss"} or arrangement not in DEFAULT_PORTS:
        raise SettingsError("store", f"{parts.scheme}:// is none of valkey, valkey+cluster, valkey+sentinel")
    layout = Layout(arrangement)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, colon, password = credentials.partition(":")
    path = parts.path.strip("/")
    return Location(
        layout=layout,
        seeds=tuple(_address(host, DEFAULT_PORTS[arrangement]) for host in hosts.split(",")),
        user=unquote(user) or None,
        password=unquote(password) if colon else None,
        db=_db(path) if layout is Layout.SINGLE else 0,
        service=_service(path) if layout is Layout.SENTINEL else "",
        tls=_tls(dict(parse_qsl(parts.query)), scheme in {"valkeys", "rediss"}),
    )


def _address(host: str, default_port: int) -> Address:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "127.0.0.1", parts.port or default_port
    except ValueError as error:
        raise SettingsError("store", f"{host!r} is not host:port") from error


def _db(path: str) -> int:
    if path and not path.isdecimal():
        raise SettingsError("store", f"the database must be a number, not {path!r}")
    return int(path or 0)


def _service(path: str) -> str:
    if not path:
        raise SettingsError("store", "valkey+sentinel:// wants the service's name at its end: …/mymaster")
    return path


def _tls(options: dict[str, str], wanted: bool) -> ssl.SSLContext | None:
    unknown = options.keys() - OPTIONS
    if unknown:
        raise SettingsError("store", f"unknown option {', '.join(sorted(unknown))} in the URL")
    if not wanted and options.get("tls", "false") not in {"true", "1", "yes"}:
        return None
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
    except OSError as error:
        raise SettingsError("store", f"cannot load the certificates: {error}") from error
    if options.get("verify") in {"false", "0", "no"}:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
