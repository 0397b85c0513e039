"""`POST /edge/srs`: SRS's `http_hooks`. It passes on 200 with `{"code":0}`; any other status refuses.

Nothing is reported between `on_play` and `on_stop`: until then this worker holds the seat. A viewer who loses it is
kicked by SRS's API, where `srs_api` is set.
"""

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from streamlimit.edge.grants import in_query
from streamlimit.edge.holding import Holding
from streamlimit.edge.hooks import read_hook, require_hook
from streamlimit.edge.kicking import Kicker
from streamlimit.edge.seating import Seating
from streamlimit.http.request import Request
from streamlimit.web.address import Proxies
from streamlimit.web.forms import require_id
from streamlimit.web.outgoing import Reply, json_reply


class Hook(Struct, frozen=True):
    """A call of SRS. `param`: the query of the play URL, with its question mark."""

    action: str
    client_id: str | int = ""
    ip: str = ""
    stream: str = ""
    param: str = ""


class Srs:
    """The handler of SRS's hooks; errors are raised, not sent."""

    def __init__(self, seating: Seating, holding: Holding, kicker: Kicker | None, proxies: Proxies) -> None:
        self._seating, self._holding, self._kicker, self._proxies = seating, holding, kicker, proxies

    async def __call__(self, request: Request) -> Reply:
        require_hook(request, self._proxies)
        await self._take(read_hook(Hook, request))
        return json_reply({"code": 0})

    async def _take(self, said: Hook) -> None:
        """Handles a hook. Raises where the viewer may not play. Publishers are always allowed."""
        grant, player = in_query(said.param.removeprefix("?")), str(said.client_id)
        if said.action == "on_play":
            caller = self._seating.identify(grant, said.ip)
            admitted = await self._seating.starts(caller, require_id("stream", said.stream), said.ip, player)
            self._holding.hold_if_seated(admitted, self._cut_of(player))
        elif said.action == "on_stop" and grant and player:  # for HLS a second one comes, without a client
            caller = self._seating.identify(grant, said.ip)
            await self._seating.stops(caller, said.stream, player, self._holding)

    def _cut_of(self, player: str) -> Callable[[], None] | None:
        return None if self._kicker is None or not player else partial(self._kicker.kick, player)
