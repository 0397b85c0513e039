"""Whole answers, and the answer to a request that is none."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from streamlimit.http.exchange import Exchange
from streamlimit.http.framing import Fault
from streamlimit.http.request import Request
from streamlimit.web.headers import lines
from streamlimit.web.problems import SECURITY_HEADERS, Problem, headers_of


class Reply(Struct, frozen=True):
    """A whole answer, which nobody keeps unless its headers say otherwise."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    cookies: Sequence[str] = ()

    def send(self, exchange: Exchange) -> None:
        """Sends it as the answer of *exchange*."""
        cookies = b"".join([lines({"Set-Cookie": cookie}) for cookie in self.cookies])
        exchange.whole(self.status, lines({"Cache-Control": "no-store", **self.headers}) + cookies, self.body)


Call = Callable[[Request], Awaitable[Reply]]


def json_reply(document: Any) -> Reply:
    """The answer 200 with *document*."""
    return Reply(200, {"Content-Type": "application/json"}, msgspec.json.encode(document))


def fault_answer(fault: Fault) -> tuple[int, bytes, bytes]:
    """Status, header lines and body of the answer to an invalid request, which no handler sees."""
    problem = Problem(*fault)
    return problem.status, lines(headers_of(problem) | SECURITY_HEADERS), problem.body()
