"""`deliver = "redirect"`: `/play` sends players of media to a CDN, by a URL, or with cookies, good for a while.

A URL is given after admission, to `GET` alone: a client that has one needs no seat to use it. Playlists are sent by
streamlimit, but not of a stream whose files are at another server: players would ask the CDN for what they name.
"""

import time

from streamlimit.delivery.paths import PLAYLIST_SUFFIXES, suffix_of
from streamlimit.edge.decision import Decider, Yes
from streamlimit.edge.original import Original, file_of_play
from streamlimit.edge.signed_cookie import Cookies
from streamlimit.edge.signed_url import plain_file, signed_url, signer
from streamlimit.http.request import Request
from streamlimit.settings.cdn import CdnSettings
from streamlimit.web.headers import counts
from streamlimit.web.incoming import require_method
from streamlimit.web.outgoing import Reply
from streamlimit.web.problems import Problem


class Redirect:
    """The handler of files of `/play` at a CDN; errors are raised, not sent."""

    def __init__(self, cdn: CdnSettings, cookies: Cookies | None, decider: Decider) -> None:
        self._cdn, self._cookies, self._decider = cdn, cookies, decider
        self._sign = signer(cdn) if cookies is None else None

    async def __call__(self, request: Request) -> Reply:
        require_method(request, "GET")
        original = file_of_play(request)
        if suffix_of(original.path) in PLAYLIST_SUFFIXES:
            raise Problem("unknown-stream", "the playlists of this stream are not here")
        yes = await self._decider.decide(original, "GET", request)
        return Reply(302, counts(yes.admitted) | {"Location": self._url(original)}, cookies=self._baked(yes, original))

    def _baked(self, yes: Yes, original: Original) -> list[str]:
        """The cookies for a file without a seat, which open that file alone: a folder's would open the media, too."""
        if self._cookies is None:
            return []
        if yes.place is None:
            return self._cookies.of_file(original.stream_id, original.path)
        return self._cookies.of(original.stream_id)

    def _url(self, original: Original) -> str:
        if self._sign is None:
            return self._cdn.url + plain_file(original.stream_id, original.path)
        return signed_url(self._cdn, self._sign, original.stream_id, original.path, time.time())
