"""A request's id, for the log and for whoever asks why: the caller's own `X-Request-Id` if it is sane, else made here.

Bound to a context, it stands in each line that is logged there: a task has one of its own, and so has a connection,
which has one fast exchange at a time. It is made only when it is wanted: most requests log nothing.
"""

import re
import secrets
from itertools import count

from msgspec import Struct

from streamlimit.logs import asking

HEADER = "X-Request-Id"
_IS_SANE = re.compile(r"[A-Za-z0-9._~:@+/=-]{1,128}").fullmatch


_made = map(f"{secrets.token_hex(4)}-{{:x}}".format, count(1))  # a worker's own prefix, and a number


class RequestId(Struct, gc=False):
    """One request's, with these headers (not its scope: an idle connection keeps this). Called, it tells the id."""

    headers: list[tuple[bytes, bytes]]
    id: str = ""

    def __call__(self) -> str:
        if not self.id:
            self.id = (_given(self.headers) if self.headers else "") or next(_made)
        return self.id


def _given(headers: list[tuple[bytes, bytes]]) -> str:
    """The caller's own, if it is sane; else empty."""
    given = next((value for name, value in headers if name == b"x-request-id"), b"").decode("latin-1")
    return given if _IS_SANE(given) else ""


def begin(headers: list[tuple[bytes, bytes]]) -> None:
    """What is logged from now on, in this context, is about the request with these *headers*."""
    asking.set(RequestId(headers))


def own_id() -> str:
    """The id of the request in whose context we are; empty where there is none."""
    request = asking.get()
    return "" if request is None else request()


def id_header() -> dict[str, str]:
    """The header that tells it."""
    own = own_id()
    return {HEADER: own} if own else {}
