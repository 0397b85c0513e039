"""Ranges of media that complete no segment. A player that seeks makes one; one that always leaves the last byte out
would never be recorded, and play without a seat, under one session id or many.

So once a user's sessions have left several different segments incomplete, further ones count as activity (rule 4: a
request for what follows shows that the part before was received).
"""

KEPT = 65_536
"""Most users that are remembered; beyond that the oldest are forgotten."""

INCOMPLETE_AT_MOST = 3
"""Different incomplete segments of a user before the next one counts as activity."""

Left = dict[tuple[str, str], str]
"""Incomplete segments: stream and segment to the session that left it incomplete last."""


class Partials:
    """The incomplete segments by user, of sessions that have completed none since. One worker's memory."""

    def __init__(self) -> None:
        self.left: dict[str, Left] = {}
        """Incomplete segments by user; mostly empty."""

    def counts(self, user_id: str, session_id: str, stream_id: str, segment: str) -> bool:
        """Notes an incomplete segment whose requested bytes were received. Does it count as activity?"""
        left = self.left.pop(user_id, {})
        left[stream_id, segment] = session_id
        self.left[user_id] = left  # the newest at the end
        if len(self.left) > KEPT:
            del self.left[next(iter(self.left))]
        while len(left) > INCOMPLETE_AT_MOST + 1:
            del left[next(iter(left))]
        return len(left) > INCOMPLETE_AT_MOST

    def completed(self, user_id: str, session_id: str) -> None:
        """Forgets the session's incomplete segments: it has completed one."""
        left = self.left.get(user_id)
        if left is not None:
            for what in [what for what, who in left.items() if who == session_id]:
                del left[what]
            if not left:
                del self.left[user_id]
