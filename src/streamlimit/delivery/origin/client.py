"""The client of the configured origin: connections that are reused, time-outs, streamed replies.

No other server is asked: redirects are followed within the origin only, no proxy of the environment is used, and no
cookie is kept. Knows no stream.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
from msgspec import Struct

from streamlimit.delivery.origin.address import Address
from streamlimit.errors import OriginFailed, OriginTimeout

MAX_CONNECTIONS = 1_000
"""Requests at the same time; others wait, no longer than for a connection."""
MAX_IDLE = 64
IDLE_SECONDS = 4.0
"""How long an idle connection may be reused: shorter than servers keep it, or requests meet closed ones."""
MAX_CONNECT_SECONDS = 5.0
MAX_REDIRECTS = 3
WHOLE = 3
"""The time-out of a whole file, as a multiple of that for its first byte."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
INFLATED_AT_A_TIME = 64 * 1024


class TooLarge(OriginFailed):
    """A file is larger than its kind may be."""


class Whole(Struct, frozen=True):
    """A reply with its whole body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Reply:
    """A reply whose body is still to be read; `close` it in any case."""

    def __init__(self, client: "OriginClient", transport: httpx.AsyncHTTPTransport, response: httpx.Response) -> None:
        self._client, self._transport, self._response = client, transport, response
        self._is_whole = self._is_closed = False
        self.status, self.headers = response.status_code, response.headers

    @property
    def _encoding(self) -> str:
        found: str = self.headers.get("content-encoding", "identity").lower()
        return found

    @property
    def length(self) -> int | None:
        """The length of the body that `chunks` yields; None: not stated. Raises `OriginFailed`."""
        if self._encoding != "identity" or "chunked" in self.headers.get("transfer-encoding", "").lower():
            return None  # with both, chunks go before a length (RFC 9112, 6.3)
        stated = self.headers.get("content-length")
        if stated is None:
            raise OriginFailed("the origin's answer has no length: it cannot be known whether it is whole")
        return int(stated)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in chunks as they arrive. Raises `OriginFailed`, `OriginTimeout`, also where it ends too early."""
        inflate, left = _inflater(self._encoding), self.length
        assert isinstance(self._response.stream, httpx.AsyncByteStream)
        with translated():
            stream = aiter(self._response.stream)
            async for chunk in stream:
                if left is not None:
                    left -= len(chunk)
                    if left == 0:  # the reader need not ask again to see the end
                        self._is_whole = await anext(stream, None) is None
                for piece in (chunk,) if inflate is None else _inflated(inflate, chunk):
                    yield piece
            if inflate is not None and not inflate.eof:
                raise OriginFailed("the origin's answer ends too early")
        self._is_whole = True

    async def close(self) -> None:
        """Closes the reply; its connection is reused if the whole body was read. Twice is once."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._client.done(self._transport, self._response if self._is_whole else None)


class OriginClient:
    """The client of the origin at *address*. *seconds*: the time-out for the first byte, and between two reads."""

    def __init__(self, address: Address, seconds: float) -> None:
        self.address, self.seconds = address, seconds
        self._connect_seconds = min(seconds, MAX_CONNECT_SECONDS)
        self._tls = httpx.create_ssl_context() if address.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)

    async def open(
        self, url: str, headers: Mapping[str, str], method: str = "GET", patience: float | None = None
    ) -> Reply:
        """The reply to a request for *url*, made by `Address.url`; *patience*: seconds for its first byte.

        Raises `OriginFailed`, `OriginTimeout`.
        """
        for _ in range(MAX_REDIRECTS + 1):
            reply = await self._ask(method, url, headers, self.seconds if patience is None else patience)
            if reply.status not in REDIRECTS:
                return reply
            led = self.address.followed(url, reply.headers.get("location", ""))
            await reply.close()
            if led is None:
                raise OriginFailed("the origin redirects to another place, which is not asked")
            url = led
        raise OriginFailed("the origin redirects again and again")

    async def whole(self, url: str, headers: Mapping[str, str], most: int, patience: float | None = None) -> Whole:
        """As `open`, with the whole body. Raises `TooLarge`, too."""
        first = self.seconds if patience is None else patience
        with translated():
            async with asyncio.timeout(first + WHOLE * self.seconds):
                reply = await self.open(url, {"accept-encoding": "gzip", **headers}, patience=first)
                try:
                    return Whole(reply.status, reply.headers, await _read(reply, most))
                finally:
                    await reply.close()

    async def done(self, transport: httpx.AsyncHTTPTransport, response: httpx.Response | None) -> None:
        """Releases the connection of *response*; None, or bytes behind its end: the connection is closed."""
        try:
            if response is not None:
                await response.aclose()
                if len(self._idle) < MAX_IDLE and not _has_surplus(transport, response):
                    self._idle.append(transport)
                    return
            await transport.aclose()
        finally:
            self._room.release()

    async def close(self) -> None:
        """Lets go of its connections."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], patience: float) -> Reply:
        with translated():
            async with asyncio.timeout(self._connect_seconds + patience):
                await self._room.acquire()
                try:
                    transport, response = await self._answer(self._request(method, url, headers, patience))
                except BaseException:
                    self._room.release()
                    raise
        return Reply(self, transport, response)

    async def _answer(self, request: httpx.Request) -> tuple[httpx.AsyncHTTPTransport, httpx.Response]:
        """The response by a kept connection, or by a new one where that turns out to be closed."""
        if self._idle:
            transport = self._idle.pop()
            try:
                return transport, await self._sent(transport, request)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                pass
        transport = self._new_transport()
        return transport, await self._sent(transport, request)

    async def _sent(self, transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        try:
            return await transport.handle_async_request(request)
        except BaseException:
            await transport.aclose()
            raise

    def _request(self, method: str, url: str, headers: Mapping[str, str], patience: float) -> httpx.Request:
        own = {"user-agent": "streamlimit", "accept": "*/*", "accept-encoding": "identity", "connection": "keep-alive"}
        wait = max(self.seconds, patience)
        times = {"connect": self._connect_seconds, "read": wait, "write": self.seconds, "pool": self.seconds}
        return httpx.Request(method, url, headers={**own, **headers}, extensions={"timeout": times})

    def _new_transport(self) -> httpx.AsyncHTTPTransport:
        """A transport with one connection: a pool searches all its connections for each request, which is slower."""
        limits = httpx.Limits(max_connections=1, keepalive_expiry=IDLE_SECONDS)
        return httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits)


class translated:
    """A context manager that turns the library's errors into `OriginFailed`, without text from the origin."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            raise OriginTimeout("the origin did not answer in time") from error
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):
            is_tls = "CERTIFICATE" in str(error).upper()
            raise OriginFailed("the origin's certificate is refused" if is_tls else "no connection") from error
        if isinstance(error, httpx.HTTPError | httpx.StreamError | zlib.error | OSError):
            raise OriginFailed("the origin's answer is broken off, or is no HTTP") from error


def about(url: str, problem: OriginFailed) -> OriginFailed:
    """A copy of the failure with the URL's file name, for the log."""
    named = type(problem)(f"{httpx.URL(url).path}: {problem}")
    named.__cause__ = problem.__cause__
    return named


def _has_surplus(transport: httpx.AsyncHTTPTransport, response: httpx.Response) -> bool:
    """Were bytes read behind the end of *response*? They would be taken for the answer to the next request.

    What was not read yet the library sees itself. It keeps the rest to itself; where it cannot be asked, there may be
    some.
    """
    pool: Any = transport._pool
    try:
        if any(each._connection._h11_state.trailing_data[0] for each in pool.connections):
            return True
    except AttributeError:
        return True
    tls: ssl.SSLObject | None = response.extensions["network_stream"].get_extra_info("ssl_object")
    try:
        if tls is not None:
            tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return tls is not None


async def _read(reply: Reply, most: int) -> bytes:
    if reply.status in (204, 304) or reply.status >= 400:
        return b""
    length = reply.length
    if length is not None and length > most:
        raise TooLarge(f"the origin's file is over {most} bytes")
    parts, size = [], 0
    async for chunk in reply.chunks():
        size += len(chunk)
        if size > most:
            raise TooLarge(f"the origin's file is over {most} bytes")
        parts.append(chunk)
    return b"".join(parts)


def _inflater(encoding: str) -> "zlib._Decompress | None":
    if encoding == "identity":
        return None
    if encoding not in ("gzip", "x-gzip"):
        raise OriginFailed("the origin's answer is packed in a way that was not asked for")
    return zlib.decompressobj(wbits=31)


def _inflated(inflate: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    """Decompresses *chunk* in small pieces: a few bytes may expand a thousandfold."""
    while chunk:
        if inflate.eof:
            raise OriginFailed("the origin's answer goes on behind its end")
        yield inflate.decompress(chunk, INFLATED_AT_A_TIME)
        chunk = inflate.unconsumed_tail or inflate.unused_data
