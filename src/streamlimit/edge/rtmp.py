"""`POST /edge/rtmp`: nginx-rtmp's hooks `on_play`, `on_update` and `on_play_done`. Any status but 2xx refuses or kicks.

nginx appends the viewer's parameters behind its own, unchanged: the first of each name counts.
"""

from urllib.parse import unquote_to_bytes

from streamlimit.edge.hooks import require_hook
from streamlimit.edge.seating import Seating
from streamlimit.http.request import Request
from streamlimit.web.address import Proxies
from streamlimit.web.forms import require_id
from streamlimit.web.incoming import bare_kind, body_of
from streamlimit.web.outgoing import Reply
from streamlimit.web.problems import Problem, wrong_field

FORM = "application/x-www-form-urlencoded"
FIELDS = frozenset({"call", "addr", "clientid", "name", "grant"})
"""The parameters that count, nginx's own and the play URL's."""


class Rtmp:
    """The handler of nginx-rtmp's hooks; errors are raised, not sent."""

    def __init__(self, seating: Seating, proxies: Proxies) -> None:
        self._seating, self._proxies = seating, proxies

    async def __call__(self, request: Request) -> Reply:
        require_hook(request, self._proxies)
        if bare_kind(request.header(b"content-type")) not in (FORM, None):
            raise Problem("unsupported-media-type", f"send {FORM}")
        await self._take(first_values(body_of(request)))
        return Reply(200)

    async def _take(self, said: dict[str, str]) -> None:
        """Handles a hook. Raises where the player may not go on. Publishers are always allowed."""
        call, address, player = said.get("call"), said.get("addr", ""), said.get("clientid", "")
        if not call:
            raise wrong_field("call", "is missing")
        if call not in ("play", "update_play", "play_done"):
            return
        caller = self._seating.identify(said.get("grant"), address)
        stream_id = require_id("name", said.get("name", ""))
        if call == "play":
            await self._seating.starts(caller, stream_id, address, player)
        elif call == "update_play":
            await self._seating.goes_on(caller, stream_id, address, player)
        else:
            await self._seating.stops(caller, stream_id, player)


def first_values(body: bytes) -> dict[str, str]:
    """The first value of each of `FIELDS`. Raises 400 for one that is not UTF-8.

    What a viewer's or a publisher's player appended besides may be anything.
    """
    found: dict[str, str] = {}
    for pair in body.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        if name not in FIELDS or name in found:
            continue
        try:
            found[name] = unquote_to_bytes(value.replace("+", " ").encode("latin-1")).decode()
        except UnicodeDecodeError as error:
            raise wrong_field(name, "is not UTF-8, percent-encoded") from error
    return found
