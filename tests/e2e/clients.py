"""HTTP clients under a test's control: plain sockets that may read a part, stall, reset, pipeline."""

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streamlimit.web.grants import Grants

PATIENCE_SECONDS = 20.0
GRANT_KEY = "grant-key-of-the-tests-0123456789"
_GRANTS = Grants([GRANT_KEY], 86_400)
_BUFFER = bytearray(1 << 20)


def endpoint(user: str, session: str, stream: str, segment: str | None = None, extra: str = "") -> bytes:
    """`POST /v1/segments`, as bytes. *extra*: header lines with their ends."""
    form = {"user_id": user, "session_id": session, "stream_id": stream}
    body = json.dumps(form if segment is None else form | {"segment": segment}).encode()
    head = f"POST /v1/segments HTTP/1.1\r\nHost: t\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def play(user: str, session: str, stream: str, segment: str | None, extra: str = "", method: str = "GET") -> bytes:
    """`GET /play/…` with a grant that was signed here, for making one over HTTP reserves a seat."""
    grant = _GRANTS.sign(user, session)
    return f"{method} /play/{grant}/{stream}/{segment} HTTP/1.1\r\nHost: t\r\n{extra}\r\n".encode()


class Head:
    """Status and headers (lower case) of an answer whose body may still be on its way."""

    def __init__(self, text: bytes) -> None:
        first, *lines = text.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines)

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", 0))

    @property
    def sequence(self) -> int:
        return int(self.headers["streamlimit-sequence"])


class Client:
    """One connection, with the buffers that the system gives unless *receive_buffer* says otherwise.

    *address*: where it comes from; all of 127.0.0.0/8 is this machine.
    """

    def __init__(self, port: int, receive_buffer: int | None = None, address: str | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE_SECONDS)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if address is not None:
            self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", port))
        self._early = b""

    def send(self, request: bytes) -> "Client":
        self.socket.sendall(request)
        return self

    def head(self) -> Head:
        """Reads up to the body."""
        while b"\r\n\r\n" not in self._early:
            got = self.socket.recv(4096)
            if not got:
                raise ConnectionError("closed before the headers were whole")
            self._early += got
        text, _, self._early = self._early.partition(b"\r\n\r\n")
        return Head(text)

    def read(self, size: int) -> int:
        """Reads *size* bytes of the body and returns how many came: fewer when the server hung up."""
        count = min(len(self._early), size)
        self._early = self._early[count:]
        while count < size:
            got = self.socket.recv_into(_BUFFER, min(len(_BUFFER), size - count))
            if not got:
                break
            count += got
        return count

    def answer(self) -> Head:
        """Reads a whole answer; fails if it is cut off."""
        head = self.head()
        if self.read(head.length) != head.length:
            raise ConnectionError("closed before the body was whole")
        return head

    def json(self, request: bytes) -> Any:
        """Sends *request* and returns the answer's JSON."""
        return json.loads(self.send(request).whole()[1])

    def whole(self) -> tuple[Head, bytes]:
        """Reads a whole answer, which is not large."""
        head = self.head()
        while len(self._early) < head.length:
            got = self.socket.recv(65_536)
            if not got:
                raise ConnectionError("closed before the body was whole")
            self._early += got
        body, self._early = self._early[: head.length], self._early[head.length :]
        return head, body

    def rest(self) -> bytes:
        """All that still comes until the server hangs up."""
        got, self._early = self._early, b""
        with suppress(ConnectionError):
            while part := self.socket.recv(65_536):
                got += part
        return got

    def watching(self, user: str) -> dict[str, Any]:
        """The user's sessions by their ids."""
        found = self.json(f"GET /v1/users/{user}/sessions HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        return {session["session_id"]: session for session in found["sessions"]}

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Closes with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@contextmanager
def connected(port: int, receive_buffer: int | None = None, address: str | None = None) -> Iterator[Client]:
    """A `Client` that is closed afterwards."""
    client = Client(port, receive_buffer, address)
    try:
        yield client
    finally:
        client.close()


def is_read(line: socket.socket) -> bool:
    """Has the program on the other side, which is on this machine, taken all that was sent? What is sent from now on
    comes to it as a piece of its own.
    """
    ours, theirs = line.getsockname()[1], line.getpeername()[1]
    ports = f":{theirs:04X}", f":{ours:04X}"
    for text in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = text.split()
        if (local[-5:], remote[-5:]) == ports:
            return queues.endswith(":00000000")
    return False


class Line:
    """The same for many at once: one keep-alive connection on an asyncio loop, opened when first used."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.reopened = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, request: bytes) -> tuple[Head, bytes]:
        """One request, its whole answer. Raises OSError or EOFError when the server goes meanwhile.

        A connection that the server closed because it was idle is opened anew, as browsers do.
        """
        if self._writer is not None:
            try:
                return await self._ask(request)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                if getattr(error, "partial", b""):
                    raise
            self.reopened += 1
        await self.open()
        return await self._ask(request)

    def close(self) -> None:
        """Hangs up; the next request opens another connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _ask(self, request: bytes) -> tuple[Head, bytes]:
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(request)
        head = Head((await self._reader.readuntil(b"\r\n\r\n"))[:-4])
        return head, await self._reader.readexactly(head.length)
