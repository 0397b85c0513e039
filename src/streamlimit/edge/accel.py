"""`deliver = "accel"`: `/play` answers media with `X-Accel-Redirect`, and nginx delivers the file.

Refusals keep status and body. Files without a seat, such as playlists, are still sent by streamlimit, so plays begin as
without nginx; of a stream whose files are at another server nginx delivers those, too.
"""

from streamlimit.delivery.paths import MEDIA_TYPES, suffix_of
from streamlimit.edge.answer import yes_headers
from streamlimit.edge.decision import Decider
from streamlimit.edge.original import file_of_play
from streamlimit.http.request import Request
from streamlimit.web.incoming import require_method
from streamlimit.web.outgoing import Reply
from streamlimit.web.service import Service
from streamlimit.web.spelling import encoded


class Accel:
    """The handler of files of `/play` that nginx delivers; errors are raised, not sent."""

    def __init__(self, service: Service, decider: Decider) -> None:
        self._decider, self._prefix = decider, service.settings.accel_prefix

    async def __call__(self, request: Request) -> Reply:
        require_method(request, "GET", "HEAD")
        original = file_of_play(request)
        yes = await self._decider.decide(original, request.method, request)
        file = f"{encoded(original.stream_id)}/{encoded(original.path, '/')}"
        headers = yes_headers(yes, 0) | {"X-Accel-Redirect": self._prefix + file}
        kind = MEDIA_TYPES.get(suffix_of(original.path))
        return Reply(200, headers if kind is None else headers | {"Content-Type": kind})
