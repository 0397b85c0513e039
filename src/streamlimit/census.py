"""The census: the numbers of sessions, users and streams, counted by walking the store in the background, with an age.

A walk through a million sessions takes seconds, so no request waits for one, and there is a long pause after each.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

from msgspec import Struct, field

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Page
from streamlimit.store.contract import Store, pages

PAGE_SESSIONS = 500
LEAST_REST_SECONDS = 5.0
STALE_SECONDS = 30.0
PATIENCE_SECONDS = 1.0
REST_FACTOR = 20
"""The pause after a walk, as a multiple of its time."""


class Census(Struct):
    """The result of one walk; `taken_at`: when it began, in monotonic seconds."""

    taken_at: float
    states: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    users: int = 0
    at_limit: int = 0
    """Users all of whose seats are taken."""

    @property
    def sessions(self) -> int:
        """The number of sessions that hold a seat."""
        return sum(self.states.values())


def all_live(store: Store) -> AsyncIterator[Page]:
    """The pages of all live sessions; those of one user are on one page."""
    return pages(lambda cursor: store.browse(cursor, PAGE_SESSIONS, None, None, None))


async def count_once(store: Store) -> Census:
    """Takes a census: walks all live sessions once."""
    census, last_user, taken = Census(time.monotonic()), None, 0
    async for page in all_live(store):
        for session in page.sessions:
            census.states[session.state] += 1
            census.streams[session.stream_id] += 1
            if session.user_id != last_user:  # pages go by user
                census.users, last_user, taken = census.users + 1, session.user_id, 0
            taken += 1
            census.at_limit += taken == session.limit
    return census


class Counted:
    """The newest census, taken again while anyone asks for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted, self._taken = asyncio.Event(), asyncio.Event()
        self.newest: Census | None = None

    def look(self) -> Census | None:
        """The newest census, None before the first is done. Asking has the next one taken."""
        self._wanted.set()
        return self.newest

    async def recent(self) -> Census | None:
        """As `look`, but waits a moment for the next one where there is none or only a stale one."""
        census = self.look()
        if census is None or time.monotonic() - census.taken_at > STALE_SECONDS:
            self._taken.clear()
            try:
                await asyncio.wait_for(self._taken.wait(), PATIENCE_SECONDS)
            except TimeoutError:
                pass  # a long walk, or the store is unavailable: the old one shows its age
        return self.newest

    async def count_forever(self) -> None:
        """Takes a census whenever someone has looked since the last one."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            began = time.monotonic()
            try:
                self.newest = await count_once(self._store)
                self._taken.set()
            except StoreUnavailable:
                pass  # the old one stays, and shows its age
            await asyncio.sleep(max(REST_FACTOR * (time.monotonic() - began), LEAST_REST_SECONDS))
