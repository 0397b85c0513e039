"""https endpoints: the connection goes to the checked address, the certificate must be for the name."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streamlimit.settings import EVENT_TYPES
from streamlimit.webhooks.addresses import Addresses
from streamlimit.webhooks.endpoint import Endpoint
from streamlimit.webhooks.sender import Failed, Outcome, Sender, Sent
from tests.webhooks.receiver import SECRET, Receiver
from tests.webhooks.test_endpoint import EVENT

NAME = "hooks.example"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for `hooks.example`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return public, private


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    public, private = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    running = Receiver()
    running.start(context)
    yield running
    running.stop()


def attempt(url: str) -> list[Outcome]:
    async def resolve(name: str) -> list[str]:
        return ["127.0.0.1"]

    async def run() -> list[Outcome]:
        sender = Sender(Endpoint(url, [SECRET], EVENT_TYPES), Addresses(True, resolve), timeout_seconds=5)
        try:
            return [await sender.send(EVENT) for _ in range(3)]
        finally:
            await sender.close()

    return asyncio.run(run())


def test_the_certificate_must_be_for_the_name_not_for_the_address(receiver: Receiver) -> None:
    assert attempt(f"https://{NAME}:{receiver.port}/hook") == [Sent()] * 3
    assert receiver.connections == 1
    assert attempt(f"https://other.example:{receiver.port}/hook") == [Failed("certificate refused")] * 3
    assert len(receiver.got) == 3


def test_without_the_authority_nothing_is_sent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert attempt(f"https://{NAME}:{receiver.port}/hook") == [Failed("certificate refused")] * 3
    assert receiver.got == []
