"""The feed and the histories on Valkey and Redis: one bounded stream in the first shard, and a sorted set per user.

One stream, so that a place in it is one number for all workers; in a cluster one node has it. Events that are written
together are one call to the feed, and one to the histories; in a cluster, one to the histories of each shard.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Event, Session
from streamlimit.store.contract import Clock
from streamlimit.store.deferred import Deferred
from streamlimit.store.feed import (
    FEED_KEPT,
    FORGOTTEN,
    HISTORY_DAYS,
    START,
    Entry,
    FeedPage,
    Place,
    pack,
    unpack,
)
from streamlimit.store.valkey.announcements import Announcements
from streamlimit.store.valkey.keys import shard_of
from streamlimit.store.valkey.scripts import Script
from streamlimit.store.valkey.servers import ANSWER_SECONDS, Servers, Value

SCRIPTS = {name: Script(name) for name in ("append", "feed", "remember", "announce")}
FEED_SHARD = 0
PAGE = 1_000
"""Entries read at once in a search of the whole feed for a user."""

HISTORY_SECONDS = HISTORY_DAYS * 86_400


class ValkeyFeed:
    """A `Feed` on the servers at *url*. *history_events*: of one user; *kept*: of the feed, which may have a hundred
    more. The rest as in `ValkeyOutbox`.
    """

    def __init__(
        self,
        url: str,
        history_events: int,
        kept: int = FEED_KEPT,
        clock: Clock | None = None,
        prefix: str = "streamlimit",
        timeout: float = ANSWER_SECONDS,
    ) -> None:
        self._history_events, self._kept = history_events, kept
        self._servers = Servers(url, prefix, timeout, clock)
        self._feed = self._servers.keys.feed
        self._announcements = Announcements(self._announce)

    async def append(self, events: Sequence[Event]) -> None:
        if events:
            await self._run("append", FEED_SHARD, [self._feed], self._kept, len(events), *map(pack, events))

    async def remember(self, events: Sequence[Event]) -> Sequence[Event]:
        together: dict[int, list[Event]] = defaultdict(list)
        for event in events:
            if self._history_events and event.reason != FORGOTTEN:
                together[self._share_of(event.session.user_id)].append(event)
        left = list[Event]()
        # All are asked before one is awaited.
        for some, answer in [(some, self._remember(shard, some)) for shard, some in together.items()]:
            try:
                await answer
            except StoreUnavailable:
                left += some
        return left

    def refused(
        self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None
    ) -> Deferred[Event | None]:
        user_id = session.user_id
        key = self._servers.keys.of(shard_of(user_id), "told", f"{user_id}/{session.session_id}")
        at_ms = self._announcements.when(self._share_of(user_id), quiet_ms, key)
        return at_ms.then(partial(_refused, session, reason, live_sessions))

    async def read(self, after: Place | None, at_most: int) -> FeedPage:
        where = "" if after is None else _id(after)
        newest, is_whole, found = await self._run("feed", FEED_SHARD, [self._feed], where, at_most)
        entries = tuple(Entry(_place(name), unpack(fields[1])) for name, fields in found)
        return FeedPage(entries, _place(newest), bool(is_whole))

    async def history(self, user_id: str) -> tuple[Event, ...]:
        if not self._history_events:
            return ()
        key = self._history_of(user_id)
        rows = await self._servers.ask(shard_of(user_id), "ZRANGE", key, -self._history_events, -1)
        return tuple(map(unpack, reversed(rows)))

    async def forget(self, user_id: str) -> None:
        await self._servers.ask(shard_of(user_id), "UNLINK", self._history_of(user_id))
        after, is_more = START, True
        while is_more:
            page = await self.read(after, PAGE)
            gone = [
                _id(entry.place)
                for entry in page.entries
                if entry.event.session.user_id == user_id and entry.event.reason != FORGOTTEN
            ]
            if gone:
                await self._servers.ask(FEED_SHARD, "XDEL", self._feed, *gone)
            is_more = len(page.entries) == PAGE
            after = page.entries[-1].place if page.entries else after

    async def close(self) -> None:
        self._servers.close()

    def _share_of(self, user_id: str) -> int:
        """The group of users whose histories can be written by one call: a shard of a cluster, else all."""
        return shard_of(user_id) if self._servers.is_cluster else FEED_SHARD

    def _remember(self, shard: int, events: Sequence[Event]) -> Deferred[Any]:
        keys = [self._history_of(event.session.user_id) for event in events]
        values = [value for event in events for value in (event.at_ms, pack(event))]
        return self._run("remember", shard, keys, self._history_events, HISTORY_SECONDS, *values)

    def _announce(self, shard: int, quiet_ms: int, keys: Sequence[bytes]) -> Deferred[Any]:
        return self._run("announce", shard, keys, quiet_ms, "", self._servers.test_time())

    def _history_of(self, user_id: str) -> bytes:
        return self._servers.keys.of(shard_of(user_id), "history", user_id)

    def _run(self, name: str, shard: int, keys: Sequence[bytes], *values: Value) -> Deferred[Any]:
        return self._servers.run(SCRIPTS[name], shard, keys, *values)


def _refused(session: Session, reason: str, live_sessions: int | None, at_ms: int | None) -> Event | None:
    """The event of a refusal at *at_ms*; None where one was announced shortly before."""
    if at_ms is None:
        return None
    return Event("session.refused", session, at_ms, reason, None, live_sessions)


def _id(place: Place) -> str:
    """*place* as an id of the server's stream, bounded by the greatest one."""
    return f"{min(place[0], 2**64 - 1)}-{min(place[1], 2**64 - 1)}"


def _place(name: bytes) -> Place:
    ms, _, number = name.partition(b"-")
    return int(ms), int(number)
