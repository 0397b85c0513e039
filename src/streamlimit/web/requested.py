"""A parsed `GET /play/…`: the bytes of the file that are asked for, and the segments that they complete."""

import re

from msgspec import Struct

from streamlimit.delivery.body import Body
from streamlimit.delivery.free import holds_media
from streamlimit.delivery.paths import kind_by_suffix, one_slash
from streamlimit.delivery.segment import Segment
from streamlimit.delivery.stream import Stream
from streamlimit.http.request import Request
from streamlimit.web.headers import lines, named
from streamlimit.web.incoming import wrong_method
from streamlimit.web.problems import Problem
from streamlimit.web.sending import Part, issued

_ONE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.IGNORECASE)


class Conditions(Struct, frozen=True):
    """The conditions of a request: method, range and validators."""

    is_head: bool = False
    if_none_match: str | None = None
    range: str | None = None
    if_range: str | None = None


PLAIN = Conditions()
"""The conditions of nearly all requests."""


def conditions_of(request: Request) -> Conditions:
    """The conditions in the headers of *request*. Raises 405 for methods other than GET and HEAD."""
    method, fields = request.method, request.fields
    if method not in ("GET", "HEAD"):
        raise wrong_method("GET", "HEAD")
    if method == "GET" and b"range" not in fields and b"if-none-match" not in fields:
        return PLAIN  # `If-Range` alone says nothing
    names = (b"if-none-match", b"range", b"if-range")
    return Conditions(method == "HEAD", *[request.header(name) for name in names])


class PlayPath:
    """The parts of `/play/<grant>/<stream_id>/<path>`."""

    __slots__ = ("grant", "path", "stream_id")

    def __init__(self, path: str) -> None:
        parts = path.split("/", 4)
        if len(parts) < 5 or not parts[4]:
            raise Problem("not-found", "playback URLs are /play/<grant>/<stream_id>/<file>")
        self.grant, self.stream_id, self.path = parts[2], parts[3], one_slash(parts[4])


class Requested:
    """The answer that a request asks for, before the limiter has decided.

    `takes_seat`: media bytes are to be sent; HEAD, 304 and what is no media neither seat nor confirm.
    `completes`: they are the last that some segment needs. `status`: 200, 206 or 304.
    `number`: of the low-latency part that they begin with. `is_playlist`: the file is a playlist or a manifest.
    """

    _lines = b""

    def __init__(self, asked: Conditions, stream: Stream, path: str, body: Body) -> None:
        self.stream = stream
        self.is_head = asked.is_head
        self.is_unchanged = _is_known(asked.if_none_match, body.etag)
        # A range is for GET alone, and looked at after the precondition (RFC 9110, 13.2.2 and 14.2).
        ranged = None if self.is_head or self.is_unchanged else asked.range
        found = _range_in(ranged, asked.if_range, body.size, body.etag)
        first, last = found or (0, body.size - 1)
        what = stream.classify(path)
        self.is_playlist = what == "playlist"
        is_media = what == "media" or holds_media(what, path in stream.files, body)
        self.is_media = is_media and stream.is_beyond_headers(path, first, last)
        done = completed(stream, path, first, last, last == body.size - 1)
        self.part = Part(body, first, last, done, issued(done[-1]) if done else None)
        self.completes = bool(self.part.segments) or (stream.find(path) is None and last == body.size - 1)
        started = self.part.segments[0] if self.part.segments else begun(stream, path, first)
        self.kind = kind_by_suffix(path) if started is None else started.kind
        self.sequence = None if started is None else started.sequence
        self.number = 0 if started is None else started.part
        self.begun = path if started is None else started.name
        self._is_partial = found is not None
        self.takes_seat = self.is_media and not self.is_head and not self.is_unchanged
        self.status = 304 if self.is_unchanged else 206 if self._is_partial else 200

    def lines(self) -> bytes:
        """The header lines of media, with the segment that it completes: the same for all viewers."""
        if not self._lines:
            self._lines = self._noted_lines()
        return self._lines

    def _noted_lines(self) -> bytes:
        part, completed = self.part, self.part.segments[-1:]
        names = [(each.name, each.sequence) for each in completed]
        about = ("play", self._is_partial, part.first, part.last, *names)
        found = part.body.notes.get(about)
        if found is None:
            found = part.body.keep(about, lines(self.headers()) + b"".join([named(*each) for each in names]))
        return found

    def headers(self) -> dict[str, str]:
        """The headers of the file, without those of the session."""
        body, part = self.part.body, self.part
        headers = {"ETag": body.etag, "Accept-Ranges": "bytes"}
        headers["Cache-Control"] = "no-store" if self.is_media else "no-cache"
        if not self.is_unchanged:
            headers |= {"Content-Type": body.media_type, "Content-Length": str(part.length)}
        if self._is_partial:
            headers["Content-Range"] = f"bytes {part.first}-{part.last}/{body.size}"
        return headers


def requested_of(asked: Conditions, stream: Stream, path: str, body: Body) -> Requested:
    """The answer that *asked* is for. Cached for whole files of finished streams."""
    if asked is not PLAIN or stream.live:  # each version of a live one would be kept
        return Requested(asked, stream, path, body)
    about = ("asked", path)
    found: Requested | None = body.notes.get(about)
    if found is None or found.stream is not stream:
        found = body.keep(about, Requested(asked, stream, path, body))
    return found


def _is_known(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in known or "*" in known


def completed(stream: Stream, path: str, first: int, last: int, is_end: bool) -> tuple[Segment, ...]:
    """The segments that the bytes *first* to *last* of a file complete. *is_end*: they are the last ones."""
    if stream.is_single_file(path):
        return tuple(stream.segments_in(path, first, last))
    segment = stream.find(path)
    return (segment,) if segment is not None and is_end else ()


def begun(stream: Stream, path: str, first: int) -> Segment | None:
    """The segment that byte *first* of a file is of."""
    return stream.at(path, first) if stream.is_single_file(path) else stream.find(path)


def _range_in(header: str | None, if_range: str | None, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte that a `Range` asks for (RFC 9110, section 14); None: the whole file, also of several ranges.

    Raises 416 where the file has no byte of it.
    """
    match = _ONE_RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match[0].endswith("=-") or if_range not in (None, etag):
        return None
    start, end = match[1], match[2]
    if not start:
        first, last = max(size - int(end), 0), size - 1
    else:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
        if end and int(end) < int(start):
            return None  # not a valid range: as if it were not there
    if first > last or not size:
        about = {"Content-Range": f"bytes */{size}"}
        raise Problem("range-not-satisfiable", f"the file has {size} bytes", headers=about)
    return first, last
