"""A round of the sweep through all users, in the order of their ids, in chunks, so that no viewer waits for it.

Reading a chunk takes some hundred microseconds, and no lock. Users who become due behind it are left to the next round.
So after a round in which a user was due, or which began long ago, there is one more.
"""

from collections.abc import Callable
from typing import Any

from streamlimit.store.sqlite.connection import QUERIES

CHUNK = 2_000
"""Users that one step looks at, nearly all of them by their due time only."""

LONG_MS = 2_000
"""A round that takes longer was interrupted: one through a million users takes half of it."""

END = b""
"""A key behind every user: in SQLite's order a blob comes after every text."""

END_OF_CHUNK, DUE = QUERIES["end_of_chunk"], QUERIES["due"]
Find = Callable[..., list[tuple[Any, ...]]]


class Round:
    """The position of a sweep: behind one user, and up to another."""

    def __init__(self) -> None:
        self._after = ""
        self._until: str | bytes | None = None
        self._began_ms: int | None = None
        self._has_found = False

    def due(self, find: Find, now_ms: int, far_ms: int, at_most: int) -> list[tuple[str, bytes]]:
        """Up to *at_most* users of the chunk who are due, with their bodies; the same ones until `go_on`.

        *far_ms*: a due time later than that counts as passed.
        """
        if self._began_ms is None:
            self._began_ms = now_ms
        if self._until is None:
            last = find(END_OF_CHUNK, self._after, CHUNK - 1)
            self._until = last[0][0] if last else END
        return find(DUE, self._after, self._until, now_ms, far_ms, at_most)

    @property
    def ends_here(self) -> bool:
        """Is this the last chunk?"""
        return self._until == END

    def go_on(self, last_user: str | None, has_found: bool, now_ms: int) -> bool:
        """Goes on behind *last_user*, or (None) to the next chunk. *has_found*: a user was due. False: none is left."""
        self._has_found = self._has_found or has_found
        is_over = last_user is None and self.ends_here
        if last_user is not None:
            self._after = last_user
        else:
            self._after = self._until if isinstance(self._until, str) else ""
            self._until = None
        if not is_over:
            return True
        is_new = self._began_ms is not None and now_ms - self._began_ms < LONG_MS
        more, self._began_ms, self._has_found = self._has_found or not is_new, None, False
        return more
