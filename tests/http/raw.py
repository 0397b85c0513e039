"""Requests as bytes, and answers as they come back: what no HTTP client would send, or would hide."""

import json
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tests.e2e.clients import is_read
from tests.service import Answer, wait_until

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def head(line: str, *headers: str, host: str | None = "here") -> bytes:
    """A request's head: its line, `Host` unless it is None, and *headers*."""
    lines = [line, *([] if host is None else [f"Host: {host}"]), *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(path: str, form: Any, *headers: str) -> bytes:
    """A whole POST of *form* as JSON."""
    body = json.dumps(form).encode()
    return (
        head(f"POST {path} HTTP/1.1", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers) + body
    )


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield line


def send(line: socket.socket, *pieces: bytes) -> None:
    """Each in a packet of its own: the next goes when the server has read the one before. It may hang up meanwhile."""
    with suppress(ConnectionError):
        for number, piece in enumerate(pieces):
            if number:
                wait_until(lambda: is_read(line), 5, "the server to read")
            line.sendall(piece)


def until_closed(line: socket.socket) -> bytes:
    """All that comes until the server closes; fails where it does not within 10 s."""
    found = b""
    with suppress(ConnectionError):
        while part := line.recv(65_536):
            found += part
    return found


def answers_in(data: bytes) -> list[Answer]:
    """One after the other, each with its length; fails where *data* is anything else."""
    found = []
    while data:
        top, separator, rest = data.partition(b"\r\n\r\n")
        assert separator, data[:200]
        status_line, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        assert status_line.startswith("HTTP/1.1 "), data[:200]
        assert len(rest) >= length, data[:200]
        found.append(Answer(int(status_line.split(" ")[1]), headers, rest[:length]))
        data = rest[length:]
    return found


def statuses(port: int, pieces: Sequence[bytes]) -> list[int]:
    """Of all answers to *pieces*, up to the end of the connection."""
    with connected(port) as line:
        send(line, *pieces)
        return [answer.status for answer in answers_in(until_closed(line))]
