"""Common parts of media servers' hooks: the check of the caller, and the decoding of JSON."""

from typing import TypeVar

import msgspec
from msgspec import Struct

from streamlimit.http.request import Request
from streamlimit.web.address import Proxies
from streamlimit.web.forms import malformed
from streamlimit.web.incoming import json_of, require_method

T = TypeVar("T", bound=Struct)

HELD_SECONDS = 6 * 3600.0
"""The longest time that a seat is held without a reported end, as after a crash of the server."""


def require_hook(request: Request, proxies: Proxies) -> None:
    """Raises 405 and 403 for what is no server's hook."""
    require_method(request, "POST")
    proxies.require(request)


def read_hook(form: type[T], request: Request) -> T:
    """The form in a hook's body; unknown fields are ignored. Raises `malformed`, 413 and 415."""
    try:
        return msgspec.json.decode(json_of(request), type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error
