"""Lines of an access log that wait to be counted: of a playing session, the newest of each rendition is enough.

A line of nginx about a received segment is recognised by a regular expression, and parsed only if it is counted. All
other lines are due at once: aborts, other files, other edges' lines.
"""

import re
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

MOST = 10_000
"""Most due lines; beyond that the oldest are dropped."""
REMEMBERED = 100_000
"""Most renditions whose last due line is remembered; lines of others are due at once."""

arrived_whole = re.compile(
    rb'\{"request_method":"GET",'
    rb'"request_uri":"(/play/([^/"?~\\]+)(?:~[^/"?\\]*)?/(?:[^"?\\]*[^"?\\0-9])?)[0-9]+([^"?\\0-9./]*\.[a-z0-9]+)(?:\?[^"\\]*)?",'
    rb'"status":"20[06]","request_completion":"OK",'
    rb'"body_bytes_sent":"([1-9][0-9]*)","sent_http_content_length":"\4",'
).search
"""Matches a line of deploy/nginx-*.conf about a received segment.

Groups: 1 and 3 are the path without the segment's number, one rendition of one play; 2 is the grant without the play.
"""


class Rendition(Struct, eq=False):
    """A rendition with a line due at *since*; the newest line after it waits."""

    grant: bytes
    since: float
    waiting: bytes | None = None


class Gathered:
    """The waiting lines of one log. Times are seconds of a monotonic clock.

    A line is due at once, unless one of the same rendition was due less than *again_seconds* ago: then it waits for the
    rest of that time, and a newer one replaces it. Waiting lines of a grant become due before its next due line, so
    that the last line is the session's newest position.
    """

    def __init__(self, again_seconds: float) -> None:
        self._again = again_seconds
        self._due = deque[bytes](maxlen=MOST)
        self._dropped = 0
        self._renditions: dict[tuple[bytes, bytes], Rendition] = {}  # the one that was due longest ago first
        self._grants: dict[bytes, dict[tuple[bytes, bytes], Rendition]] = {}  # those of which something waits, in order

    def __bool__(self) -> bool:
        return bool(self._due or self._grants)

    def add(self, lines: Sequence[bytes], now: float) -> None:
        """Adds new lines, in their order."""
        for line in lines:
            found = arrived_whole(line)
            if found is None:
                self._put(line)
                continue
            before, grant, behind = found.group(1, 2, 3)
            rendition = self._renditions.get((before, behind))
            if rendition is None:
                self._put_first(line, (before, behind), grant, now)
                continue
            waiting = self._grants.setdefault(grant, {})
            waiting.pop((before, behind), None)  # so that the newest line is the last one
            waiting[before, behind] = rendition
            rendition.waiting = line

    def take(self, now: float) -> list[bytes]:
        """The lines that are due: those of one session in the order in which they came."""
        for key, rendition in self._passed(now):
            if rendition.waiting is not None:
                self._put_all(rendition.grant)
                rendition.since = now
                self._renditions[key] = rendition
        found = list(self._due)
        self._due.clear()
        return found

    def dropped(self) -> int:
        """The number of lines dropped since the last call."""
        found, self._dropped = self._dropped, 0
        return found

    def _put_first(self, line: bytes, key: tuple[bytes, bytes], grant: bytes, now: float) -> None:
        """Makes a line due whose rendition had none lately."""
        self._put_all(grant)
        self._put(line)
        if len(self._renditions) < REMEMBERED:
            self._renditions[key] = Rendition(grant, now)

    def _put(self, line: bytes) -> None:
        self._dropped += len(self._due) == MOST
        self._due.append(line)

    def _put_all(self, grant: bytes) -> None:
        for rendition in self._grants.pop(grant, {}).values():
            if rendition.waiting is not None:
                self._put(rendition.waiting)
                rendition.waiting = None

    def _passed(self, now: float) -> list[tuple[tuple[bytes, bytes], Rendition]]:
        """Removes and returns the renditions whose next line is due at once."""
        found = []
        for key, rendition in self._renditions.items():
            if now - rendition.since < self._again:
                break
            found.append((key, rendition))
        for key, _ in found:
            del self._renditions[key]
        return found
