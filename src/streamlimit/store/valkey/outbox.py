"""The outbox on Valkey and Redis: each step of a delivery is one Lua script on its user's shard (deliveries.lua).

The script that changes the state puts an event into the shard's outbox, once for all endpoints; the next claim there
sorts it. Claims go through all shards, each from where the last one stopped.
"""

from asyncio import gather
from collections.abc import Collection, Mapping
from struct import Struct
from typing import Any

import msgspec

from streamlimit.model import Event, Session
from streamlimit.policy import OUTBOX_MAX_EVENTS
from streamlimit.store.contract import Clock
from streamlimit.store.deferred import Deferred, all_of
from streamlimit.store.outbox import Backlog, DeadLetter, Delivery
from streamlimit.store.valkey.codec import EVENT_TYPES
from streamlimit.store.valkey.connection import as_it_is
from streamlimit.store.valkey.decode import read_event
from streamlimit.store.valkey.keys import SHARDS, room_of_endpoint, room_of_outbox, shard_of
from streamlimit.store.valkey.scripts import Script
from streamlimit.store.valkey.servers import ANSWER_SECONDS, Servers, Value, evalsha

NAMES = ("look", "claim", "settle", "retry_later", "release", "give_up", "replay", "refused")
SCRIPTS = {name: Script(name) for name in NAMES}

STEP = 64
"""Shards that are asked together."""

REFUSED, REFUSED_TYPE = "session.refused", 7
_TYPES = {name: code for code, (name, _) in enumerate(EVENT_TYPES, 1)} | {REFUSED: REFUSED_TYPE}
_QUEUE = ("queues", "order", "letters", "tickets", "retries")
"""Parts of an endpoint in a shard that each script of deliveries.lua is called with."""

_SORTED = ("queues", "order", "letters", "dropped")
"""The keys of each endpoint for which claim.lua sorts events."""

_CLAIM, _REFUSAL, _U16 = Struct("<IHI"), Struct("<II"), Struct("<H")
_AFTER_TIME = 6

_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


class ValkeyOutbox:
    """An `Outbox` on the servers at *url*. *subscriptions*: the event types that each endpoint wants.

    *max_events* bounds each endpoint's queues over all shards: a shard holds a share. The rest as in `ValkeyStore`.
    """

    def __init__(
        self,
        url: str,
        subscriptions: Mapping[str, Collection[str]],
        max_events: int = OUTBOX_MAX_EVENTS,
        clock: Clock | None = None,
        prefix: str = "streamlimit",
        timeout: float = ANSWER_SECONDS,
    ) -> None:
        self._subscriptions = subscriptions
        self._most, self._intake = room_of_endpoint(max_events), room_of_outbox(max_events)
        self._servers = Servers(url, prefix, timeout, clock)
        self._keys, self._ask = self._servers.keys, self._servers.ask
        self._wanted = {e: sum(2 ** _TYPES[name] for name in types) for e, types in subscriptions.items()}
        self._next = dict.fromkeys(subscriptions, 0)
        self._disabled: set[str] = set()
        self._looks: dict[str, dict[int, bytes]] = {endpoint: {} for endpoint in subscriptions}
        self._is_known = False

    async def refused(
        self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None
    ) -> Event | None:
        event = Event(REFUSED, session, 0, reason, None, live_sessions)
        user, shard = session.user_id.encode(), shard_of(session.user_id)
        message = _U16.pack(len(user)) + user + bytes((REFUSED_TYPE,)) + _encode(event)
        keys = [self._keys.outbox[shard], self._keys.of(shard, "refused", f"{session.user_id}/{session.session_id}")]
        at_ms = await self._run("refused", shard, keys, _REFUSAL.pack(self._intake, quiet_ms), message)
        return None if at_ms is None else msgspec.structs.replace(event, at_ms=at_ms)

    async def claim(
        self, endpoint: str, ticket: str, at_most: int, lease_ms: int, users: Collection[str] | None = None
    ) -> tuple[Delivery, ...]:
        await self._learn()
        if endpoint in self._disabled:
            return ()
        if users is not None:
            shards = list({shard_of(user): None for user in users})
            return tuple(await self._claim_in(shards, endpoint, ticket, at_most, lease_ms))
        start, deliveries = self._next[endpoint], list[Delivery]()
        for offset in range(0, SHARDS, STEP):
            shards = [(start + offset + i) % SHARDS for i in range(STEP)]
            self._next[endpoint] = shards[0]
            some = await all_of(self._look(shard, endpoint) for shard in shards)
            busy = [shard for shard, has_some in zip(shards, some, strict=True) if has_some]
            deliveries += await self._claim_in(busy, endpoint, ticket, at_most - len(deliveries), lease_ms)
            if len(deliveries) >= at_most:
                break
        return tuple(deliveries)

    async def settle(self, delivery: Delivery, lease_ms: int) -> Delivery | None:
        found = await self._speak("settle", delivery, lease_ms)
        return None if found is None else _read(delivery.endpoint, delivery.ticket, found)

    async def retry_later(self, delivery: Delivery, wait_ms: int, problem: str) -> None:
        await self._speak("retry_later", delivery, wait_ms, problem)

    async def release(self, delivery: Delivery) -> None:
        await self._speak("release", delivery)

    async def give_up(self, delivery: Delivery, problem: str) -> None:
        await self._speak("give_up", delivery, self._most, problem, parts=(*_QUEUE, "dead", "dropped"))

    async def disable(self, endpoint: str, problem: str) -> bool:
        self._disabled.add(endpoint)
        return bool(await self._ask(0, "HSETNX", self._keys.disabled, endpoint, problem))

    async def replay(self, endpoint: str, at_most: int) -> int:
        await self._ask(0, "HDEL", self._keys.disabled, endpoint)
        count = 0
        for shard in range(SHARDS):
            if count < at_most and await self._ask(shard, "EXISTS", *self._parts(shard, endpoint, "dead")):
                keys = self._parts(shard, endpoint, *_QUEUE, "dead")
                count += await self._run("replay", shard, keys, str(at_most - count), "")
        return count

    async def backlog(self) -> tuple[Backlog, ...]:
        await self._learn()
        if self._subscriptions:
            first = next(iter(self._subscriptions))
            for start in range(0, SHARDS, STEP):
                await gather(*(self._claim(s, first, "", 0, 0) for s in range(start, start + STEP)))
        known = sorted(name.decode() for name in await self._ask(0, "SMEMBERS", self._keys.endpoints))
        others = [name for name in known if name not in self._subscriptions]
        return tuple([await self._stands(endpoint) for endpoint in (*self._subscriptions, *others)])

    async def dropped(self) -> dict[str, int]:
        return {endpoint: await self._dropped_of(endpoint) for endpoint in self._subscriptions}

    async def dead_letters(self, endpoint: str, at_most: int) -> tuple[DeadLetter, ...]:
        kept = await self._of_all_shards("LRANGE", endpoint, "dead", more=(-at_most, -1))
        found = [_read_dead(endpoint, data) for deliveries in kept for data in deliveries]
        found.sort(key=lambda delivery: delivery.at_ms)  # keeps the order within each shard
        return tuple(found[: -at_most - 1 : -1])

    async def retain(self, at_most: int) -> bool:
        """As `Outbox.retain`, one endpoint in a call: its keys are unlinked, in constant time."""
        known = {name.decode() for name in await self._ask(0, "SMEMBERS", self._keys.endpoints)}
        for endpoint in known - set(self._subscriptions):
            # All parts at once: a worker with older settings may still claim, and must not find half of a delivery.
            await self._of_all_shards("UNLINK", endpoint, *_QUEUE, "dead", "dropped")
            await self._ask(0, "HDEL", self._keys.disabled, endpoint)
            await self._ask(0, "SREM", self._keys.endpoints, endpoint)
            return True
        return False

    async def close(self) -> None:
        self._servers.close()

    async def _learn(self) -> None:
        """Registers the endpoints, once, and reads which of them are disabled."""
        if not self._is_known and self._subscriptions:
            await self._ask(0, "SADD", self._keys.endpoints, *self._subscriptions)
            self._is_known = True
        self._disabled = {name.decode() for name in await self._ask(0, "HKEYS", self._keys.disabled)}

    async def _claim_in(
        self, shards: list[int], endpoint: str, ticket: str, at_most: int, lease_ms: int
    ) -> list[Delivery]:
        """Claims deliveries from *shards* in equal numbers, at first from as many shards as deliveries are wanted."""
        deliveries: list[Delivery] = []
        while shards and (left := at_most - len(deliveries)) > 0:
            some, shards = shards[:left], shards[left:]
            share = left // len(some)
            found = await gather(*(self._claim(shard, endpoint, ticket, share, lease_ms) for shard in some))
            deliveries += [delivery for each in found for delivery in each]
        return deliveries

    async def _claim(self, shard: int, endpoint: str, ticket: str, at_most: int, lease_ms: int) -> list[Delivery]:
        keys = [*self._parts(shard, endpoint, *_QUEUE), self._keys.outbox[shard], self._keys.of(shard, "sorted")]
        numbers = [_CLAIM.pack(self._most, at_most, lease_ms)]
        for each, types in self._wanted.items():
            keys += self._parts(shard, each, *_SORTED)
            numbers.append(bytes((each not in self._disabled, types)))
        found = await self._run("claim", shard, keys, b"".join(numbers), ticket)
        return [_read(endpoint, ticket, delivery) for delivery in found]

    def _look(self, shard: int, endpoint: str) -> Deferred[int]:
        """Has the shard deliveries for *endpoint* (0: none)? The most frequent call, so its command is made once."""
        command = self._looks[endpoint].get(shard)
        if command is None:
            keys, time = [self._keys.of(shard, "queues", endpoint), self._keys.outbox[shard]], self._servers.test_time()
            command = evalsha(SCRIPTS["look"], keys, "", "", time)
            if not time:
                self._looks[endpoint][shard] = command
        return self._servers.router.call(shard, command, as_it_is, SCRIPTS["look"])

    def _speak(self, name: str, delivery: Delivery, *more: int | str, parts: tuple[str, ...] = _QUEUE) -> Deferred[Any]:
        """The answer of a script that is called by the holder of a delivery."""
        user_id = delivery.event.session.user_id
        shard = shard_of(user_id)
        keys, held = self._parts(shard, delivery.endpoint, *parts), f"{user_id}\0{delivery.number:015d}"
        return self._run(name, shard, keys, held, delivery.ticket, *more)

    async def _stands(self, endpoint: str) -> Backlog:
        pending = sum(await self._of_all_shards("ZCARD", endpoint, "order"))
        dead = sum(await self._of_all_shards("LLEN", endpoint, "dead"))
        retrying = await self._of_all_shards("HLEN", endpoint, "retries")
        problem: str | None = None
        for shard, count in enumerate(retrying):
            if count and problem is None:
                some = await self._ask(shard, "HVALS", *self._parts(shard, endpoint, "retries"))
                problem = some[0][2:].decode() if some else None
        disabled = await self._ask(0, "HGET", self._keys.disabled, endpoint)
        words = None if disabled is None else disabled.decode()
        return Backlog(endpoint, pending, sum(retrying), dead, await self._dropped_of(endpoint), problem, words)

    async def _dropped_of(self, endpoint: str) -> int:
        return sum(int(count or 0) for count in await self._of_all_shards("GET", endpoint, "dropped"))

    async def _of_all_shards(self, command: str, endpoint: str, *parts: str, more: tuple[int, ...] = ()) -> list[Any]:
        """The replies of all shards, in their order, to a plain command on parts of the endpoint: one step a shard."""
        replies: list[Any] = []
        for start in range(0, SHARDS, STEP):
            shards = range(start, start + STEP)
            replies += await all_of(self._ask(s, command, *self._parts(s, endpoint, *parts), *more) for s in shards)
        return replies

    def _run(self, name: str, shard: int, keys: list[bytes], one: Value, two: Value, *more: Value) -> Deferred[Any]:
        """A script with two arguments, the time (only tests give one), and *more*."""
        return self._servers.run(SCRIPTS[name], shard, keys, one, two, self._servers.test_time(), *more)

    def _parts(self, shard: int, endpoint: str, *parts: str) -> list[bytes]:
        """The keys of parts of an endpoint in a shard, as deliveries.lua names them."""
        return [self._keys.of(shard, part, endpoint) for part in parts]


def _read(endpoint: str, ticket: str, found: list[Any]) -> Delivery:
    """The delivery in the answer of deliveries.lua."""
    name, attempts, waited_ms, data = found
    user, _, number = name.partition(b"\0")
    return Delivery(endpoint, int(number), _read_any(data, user.decode()), ticket, attempts, waited_ms)


def _read_any(data: bytes, user_id: str) -> Event:
    if data[0] != REFUSED_TYPE:
        return read_event(data, 0, user_id)[0]
    body = 1 + _AFTER_TIME
    return msgspec.structs.replace(_decode(data[body:]), at_ms=int.from_bytes(data[1:body], "little"))


def _read_dead(endpoint: str, data: bytes) -> DeadLetter:
    end = 2 + _U16.unpack_from(data)[0]
    user, _, number = data[2:end].partition(b"\0")
    size = end + _AFTER_TIME
    at_ms, why = int.from_bytes(data[end:size], "little"), size + 1
    body = why + data[size]
    return DeadLetter(endpoint, int(number), _read_any(data[body:], user.decode()), data[why:body].decode(), at_ms)
