"""A client of `GET /v1/events` for tests: reads the stream with a plain socket, as bytes come."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from random import randrange
from typing import Any
from urllib.parse import urlencode

from tests.service import OPERATOR_KEY

SECONDS = 30


class Received:
    """One event of the stream; `data` is None where it had none."""

    def __init__(self, block: bytes) -> None:
        self.comments = [line for line in block.split(b"\n") if line.startswith(b":")]
        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if line and not line.startswith(b":"))
        self.id = fields[b"id"].decode() if b"id" in fields else None
        self.type = fields.get(b"event", b"").decode()
        self.data: Any = json.loads(fields[b"data"]) if b"data" in fields else None

    @property
    def session(self) -> dict[str, Any]:
        found: dict[str, Any] = self.data["data"]["session"]
        return found


class Listening:
    """An open stream: its head, and its events one after the other."""

    def __init__(self, client: socket.socket) -> None:
        self.socket, self.rest = client, b""
        self.head = self._until(b"\r\n\r\n").decode()
        self._is_chunked = "transfer-encoding: chunked" in self.head.lower()
        self._text = b""
        self.last_id: str | None = None

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def block(self) -> Received | None:
        """The next one, comments and marks among them. None: the stream is over."""
        while b"\n\n" not in self._text:
            part = self._part()
            if not part:
                return None
            self._text += part
        block, self._text = self._text.split(b"\n\n", 1)
        told = Received(block)
        self.last_id = told.id or self.last_id
        return told

    def event(self) -> Received:
        """The next one with data."""
        while told := self.block():
            if told.data is not None:
                return told
        raise AssertionError("the stream is over")

    def events(self, count: int) -> list[Received]:
        """The next so many, by the time at which they happened: workers tell of theirs a little later each."""
        return sorted((self.event() for _ in range(count)), key=lambda told: str(told.data["timestamp"]))

    def joined(self) -> "Listening":
        """Returns when the stream has said where it is: what happens from now on is on it."""
        while self.last_id is None:
            assert self.block() is not None, "the stream is over"
        return self

    def _part(self) -> bytes:
        if not self._is_chunked:
            found, self.rest = self.rest or self.socket.recv(65_536), b""
            return found
        size = int(self._until(b"\r\n"), 16)
        while len(self.rest) < size + 2:
            self.rest += self._received()
        part, self.rest = self.rest[:size], self.rest[size + 2 :]
        return part

    def _until(self, end: bytes) -> bytes:
        while end not in self.rest:
            self.rest += self._received()
        found, self.rest = self.rest.split(end, 1)
        return found

    def _received(self) -> bytes:
        found = self.socket.recv(65_536)
        if not found:
            raise ConnectionError("closed in the middle")
        return found


@contextmanager
def listening(
    port: int,
    resumed: str | None = None,
    key: str | None = OPERATOR_KEY,
    version: str = "1.1",
    receive_buffer: int | None = None,
    **query: Any,
) -> Iterator[Listening]:
    """A stream of the service at that port. *receive_buffer*: bytes that the kernel takes ahead of who reads.

    With one it comes from an address of its own: to one that it knows to be fast the kernel sends megabytes ahead.
    """
    asked = "?" + urlencode(query, doseq=True) if query else ""
    lines = [f"GET /v1/events{asked} HTTP/{version}", "Host: here"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    lines += [f"Last-Event-ID: {resumed}"] if resumed is not None else []
    with socket.socket() as client:
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)  # as of a line from afar
            client.bind(
                (f"127.{randrange(1, 255)}.{randrange(255)}.{randrange(1, 255)}", 0)
            )  # no line known to be fast
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", port))
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        yield Listening(client)
