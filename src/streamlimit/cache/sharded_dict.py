"""A dictionary of cached sessions by user, sharded; the entries of one user are a linked list.

No step works on all entries at once, since viewers would wait for it: a dictionary that grows is copied whole, so there
are many small ones.
"""

from collections.abc import Iterator
from itertools import islice

from streamlimit.cache.entry import Entry

SHARDS = 1_024
USERS_A_LOOK, SHARDS_A_LOOK = 32, 16
"""`forget_old` stops after so many users or shards: 0.1 ms, however many entries there are."""


class ShardedDict:
    """The cached entries of all users."""

    def __init__(self) -> None:
        self.shards: list[dict[str, Entry]] = [{} for _ in range(SHARDS)]  # by user, the first of their entries
        self._size = 0
        self._next = self._passed = 0  # the shard that `forget_old` looks into, and how many it has seen there

    def __len__(self) -> int:
        return self._size

    def find(self, user_id: str, session_id: str) -> Entry | None:
        """The entry of the session; None: there is none."""
        entry = self.shards[hash(user_id) % SHARDS].get(user_id)
        while entry is not None and entry.session_id != session_id:
            entry = entry.other
        return entry

    def of(self, user_id: str) -> Iterator[Entry]:
        """All entries of the user."""
        entry = self.shards[hash(user_id) % SHARDS].get(user_id)
        while entry is not None:
            yield entry
            entry = entry.other

    def add(self, user_id: str, entry: Entry) -> None:
        """Adds the entry of a session that has none."""
        shard = self.shards[hash(user_id) % SHARDS]
        entry.other = shard.get(user_id)
        shard[user_id] = entry
        self._size += 1

    def remove(self, user_id: str, session_id: str) -> None:
        """Removes the entry of the session, if there is one."""
        entries = list(self.of(user_id))
        self._chain(user_id, entries, [entry for entry in entries if entry.session_id != session_id])

    def forget_old(self, now: float) -> None:
        """Removes sessions that hold no seat any more, of some users at a time, round after round."""
        left = USERS_A_LOOK
        for _ in range(SHARDS_A_LOOK):
            shard = self.shards[self._next]
            some = list(islice(shard.items(), self._passed, self._passed + left))
            before = len(shard)
            for user_id, first in some:
                if first.other is not None or now >= first.until:
                    entries = list(self.of(user_id))
                    self._chain(user_id, entries, [entry for entry in entries if now < entry.until])
            left -= len(some)
            self._passed += len(some) - (before - len(shard))
            if not left:
                return
            self._next, self._passed = (self._next + 1) % SHARDS, 0

    def _chain(self, user_id: str, before: list[Entry], after: list[Entry]) -> None:
        """Replaces the user's list of entries *before* by *after*, a part of it."""
        if len(after) == len(before):
            return
        self._size -= len(before) - len(after)
        shard = self.shards[hash(user_id) % SHARDS]
        if not after:
            del shard[user_id]
            return
        for entry, other in zip(after, [*after[1:], None], strict=True):
            entry.other = other
        shard[user_id] = after[0]
