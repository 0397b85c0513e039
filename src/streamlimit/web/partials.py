"""Ranges of media that complete no segment. A player that seeks leaves one behind; one that always leaves the
last byte out would never be recorded and play for nothing, under one session id or under many.

So a user whose sessions have left several different segments incomplete is taken for a player (rule 4: asking for what
follows tells that the one before was received), and what was received counts as activity of the session.
"""

KEPT = 65_536
"""Users remembered; beyond that the oldest are forgotten."""

INCOMPLETE_AT_MOST = 3
"""Different segments that may be left incomplete before the next one counts."""

Left = dict[tuple[str, str], str]
"""Stream and segment -> the session that left it incomplete last."""


class Partials:
    """Per user what was left incomplete by sessions that have completed nothing since. One worker's memory."""

    def __init__(self) -> None:
        self.left: dict[str, Left] = {}
        """What players left behind, by user; of most of them nothing."""

    def counts(self, user_id: str, session_id: str, stream_id: str, segment: str) -> bool:
        """Notes an incomplete one that was received as far as asked for; does it count as activity?"""
        left = self.left.pop(user_id, {})
        left[stream_id, segment] = session_id
        self.left[user_id] = left  # the newest at the end
        if len(self.left) > KEPT:
            del self.left[next(iter(self.left))]
        while len(left) > INCOMPLETE_AT_MOST + 1:
            del left[next(iter(left))]
        return len(left) > INCOMPLETE_AT_MOST

    def completed(self, user_id: str, session_id: str) -> None:
        """The session completed a segment: it plays by the rules."""
        left = self.left.get(user_id)
        if left is not None:
            for what in [what for what, who in left.items() if who == session_id]:
                del left[what]
            if not left:
                del self.left[user_id]
