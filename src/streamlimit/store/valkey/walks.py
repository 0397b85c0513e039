"""What goes over all shards: the sweep, browsing, counting. In steps of some shards: viewers get their turns."""

from asyncio import Future, gather
from collections.abc import Iterator
from itertools import groupby

from streamlimit.model import Event, Page, Session, Swept
from streamlimit.store.valkey.calls import Calls
from streamlimit.store.valkey.keys import SHARDS
from streamlimit.store.valkey.location import Address

Clocks = dict[Address | None, int]
"""The time in ms at each server."""

STEP = 32
"""Shards asked together."""

USERS_AT_ONCE = 32
"""Users that one call of expire.lua looks at."""


class Sweep:
    """Takes out what is due. Each sweep begins where the last one stopped, so that no shard waits for another."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._next = calls, 0

    async def once(self, at_most: int) -> Swept:
        """About *at_most* users' worth. `more` unless every shard was seen to the end of what is due."""
        events: list[Event] = []
        clocks: Clocks = {}
        start, left = self._next, at_most
        for offset in range(0, SHARDS, STEP):
            shards = [(start + offset + i) % SHARDS for i in range(STEP)]
            due = await self._due(shards, clocks, left)
            batches = _batches(due[:left])
            for told in await gather(*(self._calls.expire(shard, users) for shard, users in batches)):
                events += told
            if len(due) >= left:
                self._next = due[left - 1][0]
                return Swept(tuple(events), more=True)
            left -= len(due)
        return Swept(tuple(events), more=False)

    async def _due(self, shards: list[int], clocks: Clocks, at_most: int) -> list[tuple[int, bytes]]:
        """Users who are filed as due. Their scripts decide by the same server's clock, and file them anew."""
        times = [await self._time_of(shard, clocks) for shard in shards]
        answers = await gather(*(self._filed(shard, till, at_most) for shard, till in zip(shards, times, strict=True)))
        return [(shard, user) for shard, users in zip(shards, answers, strict=True) for user in users]

    async def _time_of(self, shard: int, clocks: Clocks) -> int:
        """The time at the shard's server, asked once a sweep."""
        server = self._calls.server_of(shard)
        if server is None or server not in clocks:
            now_ms = await self._calls.now_ms(shard)
            clocks[self._calls.server_of(shard)] = now_ms
            return now_ms
        return clocks[server]

    def _filed(self, shard: int, till_ms: int, at_most: int) -> Future[list[bytes]]:
        key = self._calls.keys.due[shard]
        return self._calls.ask(shard, "ZRANGEBYSCORE", key, "-inf", till_ms, "LIMIT", 0, at_most)


def _batches(due: list[tuple[int, bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """By shard, and not too many at once: while a script runs, the server answers nobody."""
    for shard, group in groupby(due, key=lambda entry: entry[0]):
        users = [user for _, user in group]
        for first in range(0, len(users), USERS_AT_ONCE):
            yield shard, users[first : first + USERS_AT_ONCE]


async def browse(calls: Calls, cursor: str | None, at_most: int, stream_id: str | None, state: str | None) -> Page:
    """Shard by shard, in each by user: an order that nothing changes. `cursor` is the last shard and user seen."""
    shard, _, after = (cursor or "0:").partition(":")
    first, seen = int(shard), after.encode()
    found: list[Session] = []
    for number in range(first, SHARDS):
        filed = await calls.ask(number, "ZRANGE", calls.keys.due[number], 0, -1)
        users = sorted(user for user in filed if user > seen)
        seen = b""
        for place in range(0, len(users), STEP):
            some = users[place : place + STEP]
            now_ms, ledgers = await calls.ledgers(number, some)
            for user, ledger in zip(some, ledgers, strict=True):
                live = calls.answers.live(user.decode(), ledger, now_ms)
                found += [session for session in live if is_wanted(session, stream_id, state)]
                if len(found) >= at_most:
                    return Page(tuple(found), f"{number}:{user.decode()}")
    return Page(tuple(found), None)


async def count_events(calls: Calls) -> int:
    """Events in all outboxes, and letters to all endpoints."""
    keys, total = calls.keys, 0
    endpoints = [name.decode() for name in await calls.ask(0, "SMEMBERS", keys.endpoints)]
    for first in range(0, SHARDS, STEP):
        shards = range(first, first + STEP)
        counts = [calls.ask(shard, "LLEN", keys.outbox[shard]) for shard in shards]
        for endpoint in endpoints:
            counts += [calls.ask(shard, "ZCARD", keys.of_endpoint(shard, "order", endpoint)) for shard in shards]
        total += sum(await gather(*counts))
    return total


def is_wanted(session: Session, stream_id: str | None, state: str | None) -> bool:
    """Does the session pass what was asked for (None: anything)?"""
    return stream_id in (None, session.stream_id) and state in (None, session.state)
