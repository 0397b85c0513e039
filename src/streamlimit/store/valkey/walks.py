"""Walks over all shards: the sweep, browsing, counting. In steps of some shards; viewers are served in between."""

from asyncio import gather
from collections.abc import Callable, Iterable
from itertools import groupby
from random import randrange
from time import monotonic

from streamlimit.errors import BadCursor, StoreUnavailable
from streamlimit.model import Event, LimitPage, OwnLimit, Page, Session, Swept
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Ledger
from streamlimit.store.deferred import Deferred, all_of
from streamlimit.store.rule_store import matching
from streamlimit.store.valkey.answers import Answers, Expired
from streamlimit.store.valkey.decode import read_own_limit, readable_ledger
from streamlimit.store.valkey.jumps import Jumps
from streamlimit.store.valkey.keys import SHARDS, shard_of
from streamlimit.store.valkey.location import Address
from streamlimit.store.valkey.servers import Servers

Due = tuple[int, list[bytes]]
"""A shard and its users who are due."""

Expire = Callable[[int, list[bytes], int], Deferred[Expired]]
"""Expires what is due of some users of a shard. The answer names up to so many users who are due next."""

STEP = 32
"""Shards that are asked together."""

FIRST_STEP = 8
"""Shards of the first question: where much is due, they have more than one step takes."""

USERS_AT_ONCE = 32
"""Users of one call of expire.lua, during which the server answers no other call (some 0.1 ms)."""

USERS_IN_A_STEP, PAUSE_SECONDS = 256, 0.001
"""Users of one step (some 2 ms), and the pause after it, in which server and worker serve viewers. The step's events
are announced together, which takes the worker a millisecond or two."""


class Sweep:
    """The sweep of one worker. Each call goes on where the last one stopped, so that no shard waits for another.

    The first begins at a random shard, so that concurrent callers are in different shards.
    """

    def __init__(self, servers: Servers, expire: Expire, far_ms: int) -> None:
        """*far_ms*: a user due later than in that time was written before a clock went back."""
        self._servers, self._expire, self._far_ms = servers, expire, far_ms
        self._next, self._jumps, self._looks_far = randrange(SHARDS), Jumps(), True

    async def once(self, at_most: int) -> Swept:
        """Sweeps about *at_most* users or fewer. `more`, unless every shard was swept to its end.

        Where a server becomes unavailable, the result of the others is returned, with `more`.
        """
        far_ms = self._far_ms if self._looks_far else None
        step = _Step(self._servers, self._expire, min(at_most, USERS_IN_A_STEP), self._jumps, far_ms)
        start, asked = self._next, 0
        while asked < SHARDS:
            size = min(step.shards_wanted(asked), SHARDS - asked)
            shards = [(start + asked + i) % SHARDS for i in range(size)]
            asked += size
            try:
                unfinished = await step.sweep(shards)
            except StoreUnavailable:
                if step.events:
                    return Swept(tuple(step.events), True, PAUSE_SECONDS)
                raise
            finally:
                self._looks_far |= step.must_look_far  # a clock's jump is noticed once
            if unfinished:
                self._next = min(unfinished, key=shards.index)
                return Swept(tuple(step.events), True, PAUSE_SECONDS)
        self._looks_far = step.must_look_far
        return Swept(tuple(step.events), more=self._looks_far)


class _Step:
    """One bounded step of a sweep. Each server runs one of its scripts at a time, with other calls in between."""

    def __init__(self, servers: Servers, expire: Expire, at_most: int, jumps: Jumps, far_ms: int | None) -> None:
        """*far_ms*: users due later than in that time are swept, too; None: they are not looked for."""
        self._servers, self._expire, self._jumps, self._far_ms = servers, expire, jumps, far_ms
        self._left = self._at_most = at_most
        self.must_look_far = False
        """Did a clock jump, or was a user found with a due time too far ahead? Then there may be more of them."""
        self._clocks: dict[Address | None, int] = {}
        self.events: list[Event] = []

    def shards_wanted(self, asked: int) -> int:
        """How many shards to ask next, after *asked* ones: enough for the rest, if as much is due in each."""
        looked_at = self._at_most - self._left
        if not looked_at:
            return STEP if asked else FIRST_STEP
        return min(-(-self._left * asked // looked_at), STEP)

    async def sweep(self, shards: list[int]) -> list[int]:
        """Sweeps *shards*, and returns those that are not finished."""
        due = await self._due(shards)
        servers = sorted(due, key=lambda each: str(self._servers.server_of(each[0])))
        lanes = [list(lane) for _, lane in groupby(servers, key=lambda each: self._servers.server_of(each[0]))]
        stops = await gather(*map(self._sweep_one_server, lanes), return_exceptions=True)
        for stop in stops:
            if isinstance(stop, BaseException):
                raise stop
        return [stop for stop in stops if isinstance(stop, int)]

    async def _sweep_one_server(self, lane: Iterable[Due]) -> int | None:
        """Sweeps the shards of one server. Returns the shard in which it stopped; None: all are finished."""
        for shard, users in lane:
            while users:
                if not self._left:  # the other servers' sweeps take from it, too
                    return shard
                users = users[: self._left]
                self._left -= len(users)
                events, users = await self._expire(shard, users, USERS_AT_ONCE)
                self.events += events
        return None if self._left else shard

    async def _due(self, shards: list[int]) -> list[Due]:
        """The users who are due by the index. expire.lua decides by the server's clock, and updates the index."""
        times = {shard: await self._time_of(shard) for shard in shards}
        answers = await all_of(self._filed(shard, "-inf", now_ms) for shard, now_ms in times.items())
        if self._far_ms is not None:
            begin = {shard: f"({now_ms + self._far_ms}" for shard, now_ms in times.items()}
            far = await all_of(self._filed(shard, first, "+inf") for shard, first in begin.items())
            self.must_look_far |= any(far)
            answers = [users + more for users, more in zip(answers, far, strict=True)]
        return [(shard, users) for shard, users in zip(shards, answers, strict=True) if users]

    async def _time_of(self, shard: int) -> int:
        """The time of the shard's server, read once in a step."""
        server = self._servers.server_of(shard)
        if server is None or server not in self._clocks:
            now_ms = await self._servers.now_ms(shard)
            server = self._servers.server_of(shard)
            self._clocks[server] = now_ms
            self.must_look_far |= self._jumps.note(server, now_ms, monotonic())
            return now_ms
        return self._clocks[server]

    def _filed(self, shard: int, first: str, last: int | str) -> Deferred[list[bytes]]:
        """The first users of a shard whose due time in the index is between *first* and *last*."""
        key, at_most = self._servers.keys.due[shard], min(self._left, USERS_AT_ONCE)
        return self._servers.ask(shard, "ZRANGEBYSCORE", key, first, last, "LIMIT", 0, at_most)


async def ledgers(servers: Servers, shard: int, users: list[bytes]) -> tuple[int, list[Ledger]]:
    """The time in ms and the ledgers of *users*, all of them of *shard*."""
    values = servers.ask(shard, "MGET", *(servers.keys.ledger(shard, user) for user in users))
    now_ms = await servers.now_ms(shard)
    return now_ms, [readable_ledger(value or b"") for value in await values]


async def browse(
    servers: Servers, answers: Answers, cursor: str | None, at_most: int, stream_id: str | None, state: str | None
) -> Page:
    """A page of live sessions by shard and user, a stable order. `cursor`: the last shard and user seen."""
    first, seen = _place(cursor or "0:")
    found: list[Session] = []
    for number in range(first, SHARDS):
        filed = await servers.ask(number, "ZRANGE", servers.keys.due[number], 0, -1)
        users = sorted(user for user in filed if user > seen)
        seen = b""
        for place in range(0, len(users), STEP):
            some = users[place : place + STEP]
            now_ms, read = await ledgers(servers, number, some)
            for user, ledger in zip(some, read, strict=True):
                found += matching(answers.live(user.decode(), ledger, now_ms), stream_id, state)
                if len(found) >= at_most:
                    return Page(tuple(found), f"{number}:{user.decode()}")
    return Page(tuple(found), None)


async def own_limit(servers: Servers, user_id: str, policy: Policy) -> OwnLimit | None:
    """The user's own limit that holds now."""
    shard, user = shard_of(user_id), user_id.encode()
    now_ms, kept = await gather(servers.now_ms(shard), servers.ask(shard, "HGET", servers.keys.limits[shard], user))
    return None if kept is None else read_own_limit(kept).own_limit(user_id, policy, now_ms)


async def limits(servers: Servers, cursor: str | None, at_most: int, policy: Policy) -> LimitPage:
    """A page of own limits by shard and user, as `browse`; those of `STEP` shards are read together."""
    first, seen = _place(cursor or "0:")
    found: list[OwnLimit] = []
    for start in range(first, SHARDS, STEP):
        shards = range(start, min(start + STEP, SHARDS))
        now_ms = await servers.now_ms(start)
        kept = await gather(*(_limits_of(servers, shard) for shard in shards))
        for shard, limits_of in zip(shards, kept, strict=True):
            for user, packed in limits_of:
                own = read_own_limit(packed).own_limit(user.decode(), policy, now_ms)
                if own is not None and (shard > first or user > seen):
                    found.append(own)
                if len(found) == at_most:
                    return LimitPage(tuple(found), f"{shard}:{user.decode()}")
    return LimitPage(tuple(found), None)


async def _limits_of(servers: Servers, shard: int) -> list[tuple[bytes, bytes]]:
    kept = await servers.ask(shard, "HGETALL", servers.keys.limits[shard])
    return sorted(zip(kept[::2], kept[1::2], strict=True))


def _place(cursor: str) -> tuple[int, bytes]:
    """The shard and the user in *cursor*. Raises `BadCursor`."""
    shard, colon, user = cursor.partition(":")
    if not (colon and shard.isascii() and shard.isdecimal() and len(shard) <= len(str(SHARDS)) and int(shard) < SHARDS):
        raise BadCursor("no cursor of this store")
    return int(shard), user.encode()


async def count_events(servers: Servers) -> int:
    """The number of events in all outboxes, and deliveries to all endpoints."""
    keys, total = servers.keys, 0
    endpoints = [name.decode() for name in await servers.ask(0, "SMEMBERS", keys.endpoints)]
    for first in range(0, SHARDS, STEP):
        shards = range(first, first + STEP)
        counts = [servers.ask(shard, "LLEN", keys.outbox[shard]) for shard in shards]
        for endpoint in endpoints:
            counts += [servers.ask(shard, "ZCARD", keys.of(shard, "order", endpoint)) for shard in shards]
        total += sum(await all_of(counts))
    return total
