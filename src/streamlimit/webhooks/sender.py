"""Attempts to deliver events to one endpoint: a POST with its outcome as a value. Never logs a body or a secret."""

import asyncio
import logging
import ssl
import time
from email.utils import parsedate_to_datetime

import httpx
from msgspec import Struct

from streamlimit.model import Event
from streamlimit.webhooks.addresses import Addresses, AddressRefused
from streamlimit.webhooks.endpoint import Endpoint, payload

TIMEOUT_SECONDS = 10.0
ANSWER_AT_MOST = 65_536
"""Bytes of an answer that are read and dropped, so that the connection can be reused."""

IDLE_SECONDS = 4.0
"""How long an idle connection is kept: shorter than by servers (5 s and more), or requests meet closed ones."""

LONGEST_WAIT_SECONDS = 86_400.0

logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log each URL, which may contain secrets


class Sent(Struct, frozen=True):
    """The endpoint accepted the event (2xx)."""


class Failed(Struct, frozen=True):
    """The endpoint did not accept the event, and why.

    `wait_seconds`: what the endpoint asked for (`Retry-After` of a 429 or 503).
    """

    problem: str
    wait_seconds: float | None = None


class Unwanted(Struct, frozen=True):
    """The endpoint wants no more events (410)."""


Outcome = Sent | Failed | Unwanted


class Sender:
    """Delivers to one *endpoint* over connections that are kept open, as many as attempts are made at once.

    Redirects are not followed, and no proxy of the environment is used: both lead to unchecked addresses.
    """

    def __init__(self, endpoint: Endpoint, addresses: Addresses, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._addresses = addresses
        self._timeout = timeout_seconds
        self._idle: list[httpx.AsyncClient] = []
        self.adopt(endpoint)

    def adopt(self, endpoint: Endpoint) -> None:
        """Sends to *endpoint* from now on. (Connections are found by their address: one may serve both.)"""
        self.endpoint, self._url = endpoint, httpx.URL(endpoint.url)
        is_secure = self._url.scheme == "https"
        self._tls = httpx.create_ssl_context() if is_secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def send(self, event: Event) -> Outcome:
        """Makes one attempt. Every error becomes `Failed`."""
        body = payload(event)
        headers = self.endpoint.headers(event, body, time.time())
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send_somewhere(body, headers)
        except (TimeoutError, httpx.TimeoutException):
            return Failed("timed out")
        except (AddressRefused, httpx.HTTPError, OSError, UnicodeError) as error:
            return Failed(_words(error))

    async def close(self) -> None:
        """Closes the connections. Twice is once."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _send_somewhere(self, body: bytes, headers: dict[str, str]) -> Outcome:
        """Sends to the first of the endpoint's addresses that accepts a connection."""
        host = self._url.host
        error: httpx.TransportError = httpx.ConnectError("no address")
        for address in list(await self._addresses.of(host)):
            try:
                outcome = await self._post(address, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
                error = problem
                continue
            self._addresses.prefer(host, address)
            return outcome
        self._addresses.forget(host)
        raise error

    async def _post(self, address: str, body: bytes, headers: dict[str, str]) -> Outcome:
        """Posts to the checked *address*; `Host`, SNI and the certificate's check use the endpoint's name."""
        client = self._idle.pop() if self._idle else self._new_client()
        request = client.build_request(
            "POST",
            self._url.copy_with(host=address),
            content=body,
            headers=headers | {"host": self._url.netloc.decode("ascii")},
            extensions={"sni_hostname": self._url.raw_host.decode("ascii")},
        )
        try:
            response = await client.send(request, stream=True)
            try:
                await _read(response)
                return _judged(response, time.time())
            finally:
                await response.aclose()
        finally:
            self._idle.append(client)

    def _new_client(self) -> httpx.AsyncClient:
        """A client with one connection.

        A pool searches all its connections for each request: 2.7 ms with 32, where this takes 0.8.
        """
        return httpx.AsyncClient(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._timeout, connect=self._timeout / 3),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=IDLE_SECONDS),
            headers={"user-agent": "streamlimit", "accept-encoding": "identity"},
        )


async def _read(response: httpx.Response) -> None:
    read = 0
    async for part in response.aiter_raw():
        read += len(part)
        if read > ANSWER_AT_MOST:
            return


def _judged(response: httpx.Response, now: float) -> Outcome:
    status = response.status_code
    if response.is_success:
        return Sent()
    if status == 410:
        return Unwanted()
    asked = response.headers.get("retry-after") if status in (429, 503) else None
    return Failed(f"status {status}", None if asked is None else _seconds(asked, now))


def _seconds(text: str, now: float) -> float | None:
    """The seconds in a `Retry-After` header, which is a number or a date; None for neither."""
    try:
        wait = float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), LONGEST_WAIT_SECONDS)


def _words(error: Exception) -> str:
    """A failure in words, without text from the endpoint."""
    if isinstance(error, AddressRefused):
        return str(error)
    if isinstance(error, httpx.ConnectError):
        return "certificate refused" if "CERTIFICATE" in str(error).upper() else "no connection"
    if isinstance(error, httpx.HTTPError):
        return "connection lost" if isinstance(error, httpx.NetworkError | httpx.ProtocolError) else "not HTTP"
    return "name not found"
