"""The id of a request, for the log and for support: the caller's own `X-Request-Id` if it is valid, else a new one.

Bound to a context, it is in each line that is logged there: a task has its own context, and so has a connection, which
handles one request at a time. It is made only when it is needed: most requests log nothing.
"""

import re
import secrets
from itertools import count

from msgspec import Struct

from streamlimit.logs import asking

HEADER, HEADER_IN = "X-Request-Id", b"x-request-id"
_IS_SANE = re.compile(r"[A-Za-z0-9._~:@+/=-]{1,128}").fullmatch


_made = map(f"{secrets.token_hex(4)}-{{:x}}".format, count(1))  # a worker's own prefix, and a number


class RequestId(Struct, gc=False):
    """The id of the request with these headers; calling it returns the id.

    It holds the headers only, since an idle connection keeps it.
    """

    fields: dict[bytes, bytes]
    id: str = ""

    def __call__(self) -> str:
        if not self.id:
            given = self.fields.get(HEADER_IN, b"").decode("latin-1")
            self.id = given if given and _IS_SANE(given) else next(_made)
        return self.id


def own_id() -> str:
    """The id of the current context's request; empty where there is none."""
    request = asking.get()
    return "" if request is None else request()


def id_header() -> dict[str, str]:
    """The header with the request's id."""
    own = own_id()
    return {HEADER: own} if own else {}
