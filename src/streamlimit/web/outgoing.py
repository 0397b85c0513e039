"""Whole answers, headers as they go out, the answer to a request that is none."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from streamlimit.http.exchange import Exchange, lines_of
from streamlimit.http.framing import Fault
from streamlimit.http.request import Request
from streamlimit.web.problems import SECURITY_HEADERS, Problem, headers_of


class Reply(Struct, frozen=True):
    """A whole answer, which nobody keeps unless its headers say otherwise."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    cookies: Sequence[str] = ()

    def send(self, exchange: Exchange) -> None:
        """Sends it as the answer of *exchange*."""
        headers = encode_headers({"Cache-Control": "no-store", **self.headers})
        headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in self.cookies]
        exchange.whole(self.status, lines_of(headers), self.body)


Call = Callable[[Request], Awaitable[Reply]]


def json_reply(document: Any, status: int = 200) -> Reply:
    """*document* as an answer."""
    return Reply(status, {"Content-Type": "application/json"}, msgspec.json.encode(document))


def encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """*headers* as pairs of bytes."""
    return [(_spelled(name), value.encode("latin-1")) for name, value in headers.items()]


@lru_cache(maxsize=256)
def _spelled(name: str) -> bytes:
    return name.lower().encode("latin-1")


def fault_answer(fault: Fault) -> tuple[int, bytes, bytes]:
    """Status, header lines and body of the answer to an invalid request, which no handler sees."""
    problem = Problem(*fault)
    return problem.status, lines_of(encode_headers(headers_of(problem) | SECURITY_HEADERS)), problem.body()
