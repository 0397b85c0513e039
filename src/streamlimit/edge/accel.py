"""`deliver = "accel"`: `/play` answers media with `X-Accel-Redirect`, and nginx hands the file out.

Refusals keep status and body. Playlists and whatever else takes no seat are still ours, so plays begin as ever; of a
stream whose files are elsewhere nginx hands out those, too.
"""

from streamlimit.delivery.paths import MEDIA_TYPES, suffix_of
from streamlimit.edge.answer import NO_STORE, yes_headers
from streamlimit.edge.decision import Decider
from streamlimit.edge.original import original_of
from streamlimit.http.asgi import Receive, Scope, Send
from streamlimit.web.outgoing import send_whole
from streamlimit.web.problems import Problem
from streamlimit.web.service import Service
from streamlimit.web.spelling import encoded, raw_path


class Accel:
    """An ASGI callable for what `/play` does not hand out itself; errors are raised, not sent."""

    def __init__(self, service: Service, decider: Decider) -> None:
        self._decider, self._prefix = decider, service.settings.accel_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem("method-not-allowed", "GET it", headers={"Allow": "GET, HEAD, OPTIONS"})
        original = original_of(raw_path(scope))
        if original.is_folder:
            raise Problem("not-found", "playback URLs are /play/<grant>/<stream_id>/<file>")
        yes = await self._decider.decide(original, scope["method"], scope)
        file = f"{encoded(original.stream_id)}/{encoded(original.path, '/')}"
        headers = yes_headers(yes, 0) | {"Cache-Control": NO_STORE, "X-Accel-Redirect": self._prefix + file}
        kind = MEDIA_TYPES.get(suffix_of(original.path))
        await send_whole(send, 200, headers if kind is None else headers | {"Content-Type": kind})
