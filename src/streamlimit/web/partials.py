"""Ranges of media that complete no segment. A player that seeks leaves one behind; one that always leaves the
last byte out would never be recorded and play for nothing.

So whoever has left several different segments incomplete, one after the other, is taken for a player (rule 4: asking
for what follows tells that the one before was received), and what it received counts as activity.
"""

KEPT = 65_536
"""Sessions remembered; beyond that the oldest are forgotten."""

INCOMPLETE_AT_MOST = 3
"""Different segments that may be left incomplete in a row before the next one counts."""


class Partials:
    """Per session the segments that it left incomplete since it last completed one. In one worker's memory."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], set[tuple[str, str]]] = {}

    def counts(self, user_id: str, session_id: str, stream_id: str, segment: str) -> bool:
        """Notes an incomplete one that was received as far as asked for; does it count as activity?"""
        key = (user_id, session_id)
        left = self._left.pop(key, set())
        left.add((stream_id, segment))
        self._left[key] = left  # the newest at the end
        if len(self._left) > KEPT:
            del self._left[next(iter(self._left))]
        return len(left) > INCOMPLETE_AT_MOST

    def completed(self, user_id: str, session_id: str) -> None:
        """The session completed a segment: it plays by the rules."""
        if self._left:
            self._left.pop((user_id, session_id), None)
