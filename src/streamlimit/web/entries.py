"""Entry playlists requested without a play: their URIs are rewritten to go through a play made for this answer."""

from msgspec import Struct

from streamlimit.delivery.body import Body
from streamlimit.delivery.leading import is_multivariant, lead_dash, lead_hls, made_multivariant
from streamlimit.delivery.local import StreamFiles
from streamlimit.delivery.paths import suffix_of
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment
from streamlimit.model import Ask
from streamlimit.web.plays import with_play
from streamlimit.web.spelling import encoded

ASSUMED_BITS_PER_SECOND = 1_000_000
"""The bit rate assumed where the first segment is not there; players compare it, and there is only one."""


class Entry(Struct, frozen=True):
    """One `GET /play/…` of a playlist that begins a play; its content is made for this answer."""

    ask: Ask
    content: bytes
    media_type: str

    def headers(self) -> dict[str, str]:
        """The headers of the entry: no validator and no ranges, since it is never sent twice."""
        return {"Content-Type": self.media_type, "Cache-Control": "no-store"}


def led_content(
    files: StreamFiles | None, stream: Stream, path: str, body: Body, grant: str, play: int
) -> bytes | None:
    """The playlist at *path* with URIs through that play of *grant*; None where players do not begin with it.

    They do not begin with a media playlist beside a multivariant one, nor with a file that is no playlist.
    """
    if stream.files.get(path) != "playlist":
        return None
    text = b"".join(body.chunks()).decode("utf-8", "surrogateescape")
    folder, _, name = path.rpartition("/")
    to = "../" * (path.count("/") + 2) + f"{with_play(grant, play)}/{encoded(stream.stream_id)}/"
    if folder:
        to += encoded(folder, "/") + "/"
    led = _led(files, stream, path, text, to, encoded(name))
    return None if led is None else led.encode("utf-8", "surrogateescape")


def _led(files: StreamFiles | None, stream: Stream, path: str, text: str, to: str, name: str) -> str | None:
    if suffix_of(path) == ".mpd":
        return lead_dash(text, to, name)
    if is_multivariant(text):
        return lead_hls(text, to)
    return made_multivariant(to + name, _bits_per_second(files, stream)) if path == stream.entry else None


def _bits_per_second(files: StreamFiles | None, stream: Stream) -> int:
    """The bit rate of the first segment; *files* None: the files are at another server."""
    if files is None or not stream.main or not stream.main[0].duration_ms:
        return ASSUMED_BITS_PER_SECOND
    first = stream.main[0]
    try:
        size = files.open(stream, first.path).size if first.last is None else first.last + 1 - (first.first or 0)
    except UnknownSegment:
        return ASSUMED_BITS_PER_SECOND
    return size * 8_000 // first.duration_ms
