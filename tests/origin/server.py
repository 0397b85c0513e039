"""A real HTTP origin for tests: serves a folder, notes what it is asked, and does wrong what a test tells it to."""

import gzip
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

Behaviour = Callable[["Handler", bytes], None]
ANSWERED_SECONDS = 60


class Handler(BaseHTTPRequestHandler):
    """One connection; `server.origin` says what to do."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def setup(self) -> None:
        self.server.origin.connections += 1
        super().setup()

    def do_GET(self) -> None:
        origin = self.server.origin
        path = unquote(self.path.partition("?")[0])
        origin.asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        behave = origin.behaviours.get(path)
        file = origin.folder / path.lstrip("/")
        content = file.read_bytes() if file.is_file() else None
        if behave is not None:
            behave(self, content or b"")
        elif content is None:
            self.answer(404, b"not here")
        else:
            self.serve(content, file)

    do_HEAD = do_GET

    def serve(self, content: bytes, file: Path) -> None:
        """As a good origin does: validators, one range."""
        stat = file.stat()
        headers = {"ETag": f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"', "Last-Modified": formatdate(stat.st_mtime)}
        headers["Accept-Ranges"] = "bytes"
        if self.headers.get("If-None-Match") == headers["ETag"]:
            self.answer(304, b"", headers)
            return
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if span is None or self.headers.get("If-Range", headers["ETag"]) != headers["ETag"]:
            self.answer(200, content, headers)
            return
        size = len(content)
        first = int(span[1]) if span[1] else max(size - int(span[2]), 0)
        last = min(int(span[2]), size - 1) if span[1] and span[2] else size - 1
        if first > last:
            self.answer(416, b"", headers | {"Content-Range": f"bytes */{size}"})
            return
        self.answer(206, content[first : last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{size}"})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, told: int | None = None) -> None:
        """*told*: the length that is said, if it is another."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body) if told is None else told))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self) -> None:
        """Ends the connection at once."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        """Until the test is over, or the client is gone."""
        self.server.origin.over.wait(ANSWERED_SECONDS)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """Its threads end with it."""

    daemon_threads = True
    request_queue_size = 128
    origin: "Origin"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away; that is what is tried."""


class Origin:
    """`behaviours`: path -> what to do instead of serving it; `asked`: method, target and headers of each request.

    `connections`: how many clients made. `flooded`: bytes that went without an end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.behaviours: dict[str, Behaviour] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.connections = self.flooded = 0
        self.over = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def targets(self) -> list[str]:
        """What was asked for."""
        return [target for _, target, _ in self.asked]

    def misbehave(self, path: str, behave: Behaviour) -> None:
        """From now on, for that path."""
        self.behaviours[path] = behave

    def mend(self) -> None:
        """Good again; whoever waits is let go."""
        self.behaviours.clear()
        self.over.set()
        self.over = threading.Event()


@contextmanager
def origin(folder: Path, tls: tuple[str, str] | None = None) -> Iterator[Origin]:
    """Serves *folder*, over TLS with that certificate and key, on a port of its own."""
    found = Origin(folder)
    server = Server(("127.0.0.1", 0), Handler)
    server.origin = found
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


# What an origin may do


def truncate(handler: Handler, content: bytes) -> None:
    """Half of what it says."""
    handler.answer(200, content[: len(content) // 2], told=len(content))
    handler.hang_up()


def hang(handler: Handler, _content: bytes) -> None:
    """Says nothing."""
    handler.wait()


def stall(handler: Handler, content: bytes) -> None:
    """Half of it, and nothing more."""
    handler.answer(200, content[: len(content) // 2], told=len(content))
    handler.wfile.flush()
    handler.wait()


def chunked(handler: Handler, content: bytes) -> None:
    """Whole, without a length."""
    _chunks(handler, content, b"0\r\n\r\n")


def chunked_short(handler: Handler, content: bytes) -> None:
    """Half of it, without a length, and without the end."""
    _chunks(handler, content[: len(content) // 2], b"")
    handler.hang_up()


def until_close(handler: Handler, content: bytes) -> None:
    """Whole, but only the connection's end says so."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(content)
    handler.hang_up()


def gzipped(handler: Handler, content: bytes) -> None:
    """Packed, whether asked for or not."""
    handler.answer(200, gzip.compress(content), {"Content-Encoding": "gzip"})


def bomb(handler: Handler, _content: bytes) -> None:
    """A few bytes that unpack to a lot."""
    handler.answer(200, gzip.compress(bytes(200_000_000), 1), {"Content-Encoding": "gzip"})


def huge(handler: Handler, _content: bytes) -> None:
    """A playlist that never ends."""
    _chunked_head(handler, 200, {})
    _flood(handler, b"#EXTINF:2.0,\na.ts\n" * 5_000)


def odd_headers(handler: Handler, content: bytes) -> None:
    """A validator that is no ASCII, and a size that is no number that anyone counts with."""
    handler.answer(200, content, {"ETag": '"\u00e9"', "Content-Range": f"bytes 0-9/{'9' * 5_000}"})


def surplus(handler: Handler, content: bytes) -> None:
    """More than the length that it says."""
    handler.answer(200, content + os.urandom(500), told=len(content))


def answer_twice(handler: Handler, content: bytes) -> None:
    """A whole answer, and right behind it another one, which nobody asked for."""
    handler.answer(200, content + b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother", told=len(content))


def two_lengths(handler: Handler, content: bytes) -> None:
    """In chunks, of which another length is said."""
    handler.send_response(200)
    handler.send_header("Content-Length", "5")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content))


def endless(handler: Handler, _content: bytes) -> None:
    """A segment that never ends."""
    _chunked_head(handler, 200, {})
    _flood(handler)


def endless_range(handler: Handler, _content: bytes) -> None:
    """More than the range that it says, for ever."""
    _chunked_head(handler, 206, {"Content-Range": "bytes 0-9/6000"})
    _flood(handler)


def endless_behind_gzip(handler: Handler, content: bytes) -> None:
    """Whole, packed, and more behind it for ever."""
    _chunked_head(handler, 200, {"Content-Encoding": "gzip"})
    packed = gzip.compress(content)
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(packed), packed))
    _flood(handler)


def a_byte_behind_gzip(handler: Handler, content: bytes) -> None:
    """Whole, packed, and in the same read one byte more."""
    handler.answer(200, gzip.compress(content) + b"x", {"Content-Encoding": "gzip"})


def only_get(handler: Handler, content: bytes) -> None:
    """Knows no HEAD."""
    handler.answer(405 if handler.command == "HEAD" else 200, content)


def whole_always(handler: Handler, content: bytes) -> None:
    """Knows no ranges."""
    handler.answer(200, content)


def rubbish(handler: Handler, _content: bytes) -> None:
    """No HTTP."""
    handler.wfile.write(os.urandom(64) + b"\r\n\r\n")
    handler.hang_up()


def status(number: int) -> Behaviour:
    """That one."""
    return lambda handler, content: handler.answer(number, b"what it says")


def redirect(location: str, number: int = 302) -> Behaviour:
    """To there."""
    return lambda handler, content: handler.answer(number, b"", {"Location": location})


def _chunked_head(handler: Handler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()


def _flood(handler: Handler, chunk: bytes = bytes(100_000)) -> None:
    """The same chunk for ever; `server.origin.flooded` bytes went."""
    while True:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        handler.server.origin.flooded += len(chunk)


def _chunks(handler: Handler, content: bytes, end: bytes) -> None:
    _chunked_head(handler, 200, {})
    for at in range(0, len(content), 1_000):
        part = content[at : at + 1_000]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
    handler.wfile.write(end)
