"""`POST /edge/mediamtx`: MediaMTX's `authMethod: http`. Any 2xx passes.

It asks once, and does not report that a reader has left: seats are kept and freed by its `runOnRead` and `runOnUnread`
(docs/how-to/media-servers.md). A viewer who loses the seat is kicked by its API, where `mediamtx_api` is set.
"""

from functools import partial

from msgspec import Struct

from streamlimit.edge.grants import in_query
from streamlimit.edge.hooks import read_hook, require_hook
from streamlimit.edge.kicking import Kicker
from streamlimit.edge.seating import Seating
from streamlimit.edge.watching import Watching
from streamlimit.http.request import Request
from streamlimit.web.address import Proxies
from streamlimit.web.forms import require_id
from streamlimit.web.outgoing import Reply
from streamlimit.web.problems import CHALLENGE, Problem

WATCHING = frozenset({"read", "playback"})


class Question(Struct, frozen=True):
    """A request of MediaMTX. `path`: of the stream; it may have slashes."""

    action: str
    path: str = ""
    query: str | None = None
    token: str | None = None
    password: str | None = None
    ip: str = ""
    id: str | None = None
    protocol: str = ""

    @property
    def grant(self) -> str | None:
        """The grant: in the query, else the token (a bearer's, to MediaMTX), else the password."""
        return in_query(self.query or "") or self.token or self.password or None


class MediaMtx:
    """The handler of MediaMTX's questions; errors are raised, not sent."""

    def __init__(self, seating: Seating, watching: Watching, kicker: Kicker | None, proxies: Proxies) -> None:
        self._seating, self._watching, self._kicker, self._proxies = seating, watching, kicker, proxies

    async def __call__(self, request: Request) -> Reply:
        require_hook(request, self._proxies)
        asked = read_hook(Question, request)
        if asked.action in WATCHING:
            caller = self._seating.identify(asked.grant, asked.ip)
            await self._seating.starts(caller, stream_of(asked.path), asked.ip, asked.id or "")
            if self._kicker is not None and asked.id:
                cut = partial(self._kicker.kick, asked.id, asked.protocol)
                self._watching.watch((caller.user_id, caller.session_id), cut)
        elif asked.action != "publish":  # its own interfaces are not for viewers
            raise Problem("unauthenticated", "only readers and publishers are let in here", headers=CHALLENGE)
        return Reply(200)


def stream_of(path: str) -> str:
    """The stream id for a path, without slashes. Raises `malformed`."""
    return require_id("path", path.strip("/").replace("%", "%25").replace("/", "%2F"))
