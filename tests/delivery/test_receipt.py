"""Received means that the client has the bytes: against a real server, with real sockets that behave badly."""

import datetime
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from streamlimit.http import connection
from tests.delivery.receipt_server import Deliverer, Running, running, wait_until

BIG, SMALL = 3_000_000, 10_000
PART = 100_000
LOOPS = ("asyncio", "uvloop")
KINDS = ("tcp", "poured", "tls", "unix")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    folder = tmp_path_factory.mktemp("tls")
    pem, encoding = folder / "cert.pem", serialization.Encoding.PEM
    pem.write_bytes(signed.public_bytes(encoding))
    private = folder / "key.pem"
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    return pem, private


@pytest.fixture(scope="module", params=[f"{loop}-{kind}" for loop in LOOPS for kind in KINDS])
def each(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[Running]:
    loop, kind = request.param.split("-")
    unix = tmp_path_factory.mktemp("unix") / "socket" if kind == "unix" else None
    with running(
        loop, unix=unix, certificate=certificate if kind == "tls" else None, pours=kind == "poured"
    ) as started:
        yield started


@pytest.fixture(scope="module", params=[f"{loop}-{kind}" for loop in LOOPS for kind in ("tcp", "poured")])
def each_loop(request: pytest.FixtureRequest) -> Iterator[Running]:
    loop, kind = request.param.split("-")
    with running(loop, pours=kind == "poured") as started:
        yield started


@pytest.fixture
def server(each: Running) -> Running:
    """A server of each kind on each loop, that has not delivered anything."""
    each.app = Deliverer(pours=each.pours)
    return each


@pytest.fixture
def tcp(each_loop: Running) -> Running:
    """A plain TCP server that loses patience soon."""
    each_loop.app = Deliverer(stall_seconds=1.0, progress_seconds=0.05, pours=each_loop.pours)
    return each_loop


def ask(client: socket.socket, size: int | str, name: str, extra: str = "") -> None:
    client.sendall(f"GET /{size}/{name} HTTP/1.1\r\nHost: test\r\n{extra}\r\n".encode())


def read(client: socket.socket, size: int) -> int:
    """Reads a response with a body of *size* bytes, or so many bytes of it. Returns how many body bytes came."""
    buffer = bytearray(1 << 20)
    count, head = 0, b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    count = len(head.partition(b"\r\n\r\n")[2])
    while count < size:
        got = client.recv_into(buffer, min(len(buffer), size - count))
        if not got:
            break
        count += got
    return count


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def count_received(server: Running, names: list[str]) -> int:
    return sum(server.outcome(name) for name in names)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("extra", ["", "Connection: close\r\n"], ids=["keep-alive", "connection-close"])
@pytest.mark.parametrize("size", [BIG, SMALL])
def test_who_reads_all_and_closes_at_once_has_received_it(server: Running, size: int, extra: str) -> None:
    names = [str(n) for n in range(20 if server.is_tls else 40)]
    for name in names:
        with server.connect() as client:
            ask(client, size, name, extra)
            assert read(client, size) == size
    assert count_received(server, names) == len(names)


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_who_leaves_after_a_part_has_not_received_it(server: Running, leave: "type[socket.socket]") -> None:
    names = [str(n) for n in range(20)]
    for name in names:
        client = server.connect()
        ask(client, BIG, name)
        assert read(client, PART) == PART
        leave(client)
    assert count_received(server, names) == 0


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_who_leaves_without_reading_a_byte_has_not_received_what_its_kernel_did_not_take(
    server: Running, leave: "type[socket.socket]"
) -> None:
    for n in range(20):
        client = server.connect()
        ask(client, BIG, str(n))
        wait_until(lambda name=str(n): name in server.app.passages)
        leave(client)
        assert not server.outcome(str(n))


def test_many_at_once_are_told_apart(server: Running) -> None:
    clients = [server.connect() for _ in range(40)]
    for n, client in enumerate(clients):
        ask(client, BIG, str(n))
    for n, client in enumerate(clients):
        read(client, BIG if n % 2 else PART)
        client.close()
    assert [server.outcome(str(n)) for n in range(40)] == [n % 2 == 1 for n in range(40)]


def test_no_descriptor_is_left(server: Running) -> None:
    ask(warm := server.connect(), SMALL, "warm")
    read(warm, SMALL)
    warm.close()
    wait_until(lambda: server.outcome("warm"))
    before = descriptors()
    for n in range(60):
        client = server.connect()
        ask(client, BIG, str(n))
        read(client, (BIG, PART, PART)[n % 3])
        (socket.socket.close, reset, socket.socket.close)[n % 3](client)
        server.outcome(str(n))
    wait_until(lambda: descriptors() <= before)


def test_the_next_request_on_a_connection_finds_the_first_settled(server: Running) -> None:
    with server.connect() as client:
        for n in range(40):
            ask(client, BIG, str(n))
            assert read(client, BIG) == BIG
    wait_until(lambda: len(server.app.journal) == 40)
    assert all(set(journal) == {str(n) for n in range(int(name))} for name, journal in server.app.began)


def test_a_pipelined_request_finds_the_first_settled(server: Running) -> None:
    with server.connect() as client:
        ask(client, BIG, "first")
        ask(client, SMALL, "second")
        assert read(client, BIG) == BIG
        assert read(client, SMALL) == SMALL
        assert server.app.began == [("first", {}), ("second", {"first": True})]
        assert server.outcome("second")


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_a_hang_up_is_noticed_though_a_pipelined_request_keeps_the_server_from_reading(
    server: Running, leave: "type[socket.socket]"
) -> None:
    client = server.connect()
    ask(client, BIG, "first")
    ask(client, SMALL, "second")
    read(client, PART)
    leave(client)
    assert not server.outcome("first")
    assert "second" not in server.app.journal


def test_who_stops_reading_is_given_up_and_disconnected(tcp: Running) -> None:
    with tcp.connect() as client:
        ask(client, BIG, "stalled")
        started = time.monotonic()
        assert not tcp.outcome("stalled")
        assert 0.9 <= time.monotonic() - started < 10
        with pytest.raises(ConnectionError):
            read(client, BIG)


def test_who_stops_reading_the_last_bytes_is_given_up_too(tcp: Running) -> None:
    """All of it is in the server's kernel: nobody is blocked, the receipt alone waits."""
    with tcp.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ask(client, 400_000, "stalled")
        wait_until(lambda: "stalled" in tcp.app.passages)
        assert not tcp.outcome("stalled")


def test_a_slow_reader_makes_progress_and_is_never_given_up(tcp: Running) -> None:
    with tcp.connect() as client:
        ask(client, BIG, "slow")
        count = read(client, 1)
        while count < BIG:
            time.sleep(0.03)  # the line is slow
            count += len(client.recv(65_536))
        assert tcp.outcome("slow")
    assert len(tcp.app.progress) > 5
    assert tcp.app.progress == sorted(tcp.app.progress)
    assert 0 < tcp.app.progress[0] < BIG


def test_what_is_acknowledged_never_exceeds_what_the_client_can_have(tcp: Running) -> None:
    with tcp.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        ask(client, BIG, "part")
        read(client, PART)
        reset(client)
        assert not tcp.outcome("part")
    assert PART - 16_384 <= tcp.app.passages["part"].acknowledged() < PART + 200_000


@pytest.mark.parametrize("size", [BIG, SMALL])
def test_who_half_closes_after_its_request_still_gets_it_all(tcp: Running, size: int) -> None:
    for n in range(50):
        with tcp.connect() as client:
            ask(client, size, str(n))
            client.shutdown(socket.SHUT_WR)
            assert read(client, size) == size
            assert client.recv(1) == b""
        assert tcp.outcome(str(n))


def test_who_half_closes_and_is_not_delivered_to_is_disconnected(tcp: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HALF_OPEN_SECONDS", 0.05)
    with tcp.connect() as client:
        ask(client, "silent", "quiet")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        assert not tcp.outcome("quiet")


def test_the_wire_knows_the_clients_address(tcp: Running) -> None:
    with tcp.connect() as client:
        ask(client, SMALL, "one")
        read(client, SMALL)
    assert tcp.outcome("one")
    assert tcp.app.addresses == {"127.0.0.1"}
