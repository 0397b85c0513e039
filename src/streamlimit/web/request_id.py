"""A request's id, for the log and for whoever asks why: the caller's own `X-Request-Id` if it is sane, else made here.

Bound to the context of its request (a task's, or that of a fast exchange), it stands in each line that is logged
there. It is made only when it is wanted: most requests log nothing.
"""

import re
import secrets
from itertools import count

from streamlimit.logs import asking
from streamlimit.web.http import Scope, header

HEADER = "X-Request-Id"
_IS_SANE = re.compile(r"[A-Za-z0-9._~:@+/=-]{1,128}").fullmatch


class RequestId:
    """One request's. Called, it tells the id."""

    __slots__ = ("_id", "_scope")
    _made = map(f"{secrets.token_hex(4)}-{{:x}}".format, count(1))  # a worker's own prefix, and a number

    def __init__(self, scope: Scope) -> None:
        self._scope, self._id = scope, ""

    def __call__(self) -> str:
        if not self._id:
            given = header(self._scope, b"x-request-id")
            self._id = given if given is not None and _IS_SANE(given) else next(self._made)
        return self._id


def begin(scope: Scope) -> None:
    """What is logged from now on, in this context, is about this request."""
    asking.set(RequestId(scope))


def id_header() -> dict[str, str]:
    """The header that tells the id of the request in whose context we are."""
    request = asking.get()
    return {} if request is None else {HEADER: request()}
