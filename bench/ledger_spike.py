"""Is the ledger as a versioned value, with rules in Python alone, as good as the rules in Lua? What was tried (ADR 9).

    python -m bench.ledger_spike [redis|valkey] [SESSIONS]

A ledger is eight bytes of version at random, four of a counter, and MessagePack. Three generic scripts: *read*;
*change* (if version and counter are still those, write this); *touch* (the usual confirmation: some bytes of one
session, whoever touched it meanwhile). Beside them today's scripts, in the same run: server CPU a call and bytes a
session; then worker CPU a decision, and how many calls a confirmation takes where four workers share all sessions at
random. Of the rules in Python only what these steps need is here, so the worker's figures are kind to it.
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from contextvars import copy_context
from functools import partial
from typing import Any
from zlib import crc32

import msgspec
import uvloop
from msgspec import Struct, field

from bench.valkey_layout import Cast, Server
from streamlimit.model import Admitted, Ask, Device, Event, Lease, Receipt, State
from streamlimit.policy import Policy
from streamlimit.rules.ledger import show
from streamlimit.store.deferred import Deferred
from streamlimit.store.valkey import ValkeyStore
from streamlimit.store.valkey.codec import pack_policy
from streamlimit.store.valkey.connection import bulk
from streamlimit.store.valkey.keys import Keys, shard_of
from streamlimit.store.valkey.location import parse
from streamlimit.store.valkey.messages import Messages
from streamlimit.store.valkey.router import Router
from streamlimit.store.valkey.scripts import SCRIPTS
from tests import servers

POLICY = Policy(segment_ms=600_000, start_ms=600_000)

NOW = """local time = redis.call('TIME') local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
if now >= tonumber(ARGV[#ARGV]) then return { err = 'TOOLATE ' .. now } end
"""
READ = NOW + "return { now, redis.call('GET', KEYS[1]) }"
CHANGE = (
    NOW
    + """local A = ARGV[1]
local at, late, due = struct.unpack('<I6I4I6', A, 13)
local old = redis.call('GET', KEYS[1])
if (old and old:sub(1, 12) or ('\\0'):rep(12)) ~= A:sub(1, 12) or at > now + 50 or now > at + late then
  return { now, old }
end
if due > 0 then redis.call('ZADD', KEYS[2], 'LT', due, ARGV[3]) end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
for i = 4, #ARGV - 1 do redis.call('RPUSH', KEYS[3], ARGV[i]) end
return 1"""
)
TOUCH = (
    NOW
    + """local A = ARGV[1]
local at, late, place, size, guard, its = struct.unpack('<I6I4I4I2I4I2', A, 9)
local old = redis.call('GET', KEYS[1])
if not old or old:sub(1, 8) ~= A:sub(1, 8) or at > now + 50 or now > at + late then return { now, old } end
local patch = A:sub(31, 30 + size)
if struct.unpack('>I8', old, place + 2) <= now then return { now, old } end
if its > 0 and old:sub(guard + 1, guard + its) ~= A:sub(31 + size, 30 + size + its) then return { now, old } end
if old:sub(place + 1, place + 9) > patch:sub(1, 9) then return old end
redis.call('SETRANGE', KEYS[1], place, patch)
local count = struct.unpack('<I4', old, 9)
redis.call('SETRANGE', KEYS[1], 8, struct.pack('<I4', count + 1))
return count == struct.unpack('<I4', A, 31 + size + its) and 1 or old"""
)


class Position(Struct, array_like=True):
    sequence: int
    client: int


class Seat(Struct, array_like=True, gc=False):
    """What a touch writes stands first. The last seven are for what comes next."""

    expires_at_ms: int
    last_activity_ms: int | None
    placed_ms: int
    sequence: int | None
    segment: str | None
    positions: dict[str, Position]
    session_id: str
    stream_id: str
    generation: int
    started_before_ms: int = 0  # generation - started
    move: int = 0
    device: str | Device | None = None
    ahead_until_ms: int = 0
    revives: int = 0
    leases: list[str] = field(default_factory=list)
    left: list[tuple[str, int]] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)
    play: str | None = None
    changes: list[int] = field(default_factory=list)
    plan: str | None = None
    limit: int | None = None
    paused_ms: int = 0
    life_ms: int = 0

    @property
    def started_at_ms(self) -> int:
        return self.generation - self.started_before_ms


class Ledger(Struct, array_like=True, gc=False):
    seats: list[Seat] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    max_sessions: int | None = None
    visits: int | None = None


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Ledger).decode
HEAD, LATEST = 12, b"9" * 13
NONE = bytes(HEAD)


class Generic:
    """A script of this file, as connection.py wants it."""

    def __init__(self, name: str, text: str) -> None:
        from hashlib import sha1

        self.name, self.body = name, text.encode()
        self.sha = sha1(self.body).hexdigest().encode()
        self.head = b"$7\r\nEVALSHA\r\n$40\r\n" + self.sha + b"\r\n"


READS, CHANGES, TOUCHES = Generic("read", READ), Generic("change", CHANGE), Generic("touch", TOUCH)


def u48(number: int) -> bytes:
    return number.to_bytes(6, "little")


class Kept(Struct):
    """What a worker saw last of a user: the bytes, and the ledger in them once somebody asked."""

    value: bytes
    ledger: Ledger | None = None

    def read(self) -> Ledger:
        if self.ledger is None:
            self.ledger = decode(memoryview(self.value)[HEAD:]) if self.value else Ledger()
        return self.ledger


def new_seat(ask: Ask, now: int, expiry: int) -> Seat:
    return Seat(now + expiry, now, 0, None, None, {}, ask.session_id, ask.stream_id, now, device=ask.device)


def changed(version: bytes, ledger: Ledger, now: int, user: bytes, due: int) -> tuple[bytes, tuple[bytes, ...]]:
    value = random.getrandbits(64).to_bytes(8, "little") + bytes(4) + encode(ledger)
    head = version + u48(now) + (60_000).to_bytes(4, "little") + u48(due)
    return value, (head, value, user)


def touched(
    value: bytes, ledger: Ledger, seat: Seat, now: int, segment: str | None, sequence: int | None, client: int
) -> tuple[tuple[bytes, ...], bytes] | None:
    """The arguments of a touch and what the value is then; None where its length would change."""
    before = encode(seat)
    place = value.index(before, HEAD) + 3
    seat.expires_at_ms, seat.last_activity_ms = now + POLICY.expiry_ms, now
    guard = b""
    guard_at, end = 0, 18
    if segment is not None:
        seat.placed_ms, seat.segment, seat.sequence = now, segment, sequence
        position = seat.positions.get("video")
        if position is None:
            return None
        position.sequence = sequence or 0
    after = encode(seat)
    if len(after) != len(before):
        return None
    if segment is not None:
        packed = encode(seat.positions)
        at = after.index(packed, 27)
        guard = encode(client)
        guard_at = place - 3 + at + len(packed) - len(guard)
        end = at - 3 + len(packed)
        if before[at + len(packed) - len(guard) : at + len(packed)] != guard:
            return None
    patch = after[3 : 3 + end]
    head = (
        value[:8]
        + u48(now)
        + (60_000).to_bytes(4, "little")
        + place.to_bytes(4, "little")
        + len(patch).to_bytes(2, "little")
        + guard_at.to_bytes(4, "little")
        + len(guard).to_bytes(2, "little")
    )
    count = int.from_bytes(value[8:HEAD], "little")
    after_head = value[:8] + (count + 1).to_bytes(4, "little") + value[HEAD:place]
    return (head + patch + guard + value[8:HEAD],), after_head + patch + value[place + len(patch) :]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def today(server: Server, cast: Cast, words: list[str]) -> dict[str, float]:
    keys, policy, messages = Keys("streamlimit"), pack_policy(POLICY, frozenset(), 1), Messages(POLICY)
    shas = {name: server.client.script_load(SCRIPTS[name].body) for name in ("admit", "confirm", "beat")}

    def command(name: str, ask: Ask, message: bytes) -> tuple[object, ...]:
        shard = shard_of(ask.user_id)
        return (
            "EVALSHA",
            shas[name],
            2,
            keys.ledger(shard, ask.user_id.encode()),
            keys.due[shard],
            policy,
            message,
            LATEST,
        )

    def receipt(ask: Ask, sequence: int | None) -> bytes:
        lease = Lease(ask, generations[ask.session_id], 0, now_ms())
        segment = None if sequence is None else f"video-180p/seg-{sequence:05}.m4s"
        return messages.receipt(Receipt(lease, segment, sequence))

    found: dict[str, float] = {}
    found["new beat"], answers = server.cost_us(command("beat", ask, messages.ask(ask)) for ask in cast.asks)
    generations = {a.session_id: int.from_bytes(r[2:8], "little") for a, r in zip(cast.asks, answers, strict=True)}  # type: ignore[index]
    server.cost_us(command("confirm", ask, receipt(ask, 7)) for ask in cast.asks)
    found["bytes"] = server.bytes()
    for word in words:
        found[word] = 0
    found["beat"], _ = server.cost_us(command("beat", ask, messages.ask(ask)) for ask in cast.some)
    found["confirm, beat"], _ = server.cost_us(command("confirm", ask, receipt(ask, None)) for ask in cast.some)
    found["confirm, segment"], _ = server.cost_us(command("confirm", ask, receipt(ask, 8)) for ask in cast.some)
    found["admit"], _ = server.cost_us(command("admit", ask, messages.ask(ask)) for ask in cast.some)
    return found


def generic(server: Server, cast: Cast) -> dict[str, float]:
    keys = Keys("streamlimit")
    shas = {s.name: server.client.script_load(s.body) for s in (READS, CHANGES, TOUCHES)}
    kept: dict[str, Kept] = {}

    def command(name: str, ask: Ask, *arguments: bytes) -> tuple[object, ...]:
        shard = shard_of(ask.user_id)
        return ("EVALSHA", shas[name], 2, keys.ledger(shard, ask.user_id.encode()), keys.due[shard], *arguments, LATEST)

    def seated(ask: Ask) -> tuple[object, ...]:
        its = kept.setdefault(ask.user_id, Kept(b""))
        ledger, now = its.read(), now_ms()
        ledger.seats.append(new_seat(ask, now, POLICY.expiry_ms))
        version = its.value[:HEAD] or NONE
        its.value, arguments = changed(version, ledger, now, ask.user_id.encode(), now + POLICY.expiry_ms)
        return command("change", ask, *arguments)

    def first(ask: Ask) -> tuple[object, ...]:
        its, now = kept[ask.user_id], now_ms()
        seat = next(s for s in its.read().seats if s.session_id == ask.session_id)
        seat.sequence, seat.segment, seat.placed_ms = 7, "video-180p/seg-00007.m4s", now
        seat.positions = {"video": Position(7, crc32(b"c"))}
        version = its.value[:HEAD]
        its.value, arguments = changed(version, its.read(), now, ask.user_id.encode(), 0)
        return command("change", ask, *arguments)

    def touch(ask: Ask, sequence: int | None) -> tuple[object, ...]:
        its = kept[ask.user_id]
        seat = next(s for s in its.read().seats if s.session_id == ask.session_id)
        segment = None if sequence is None else f"video-180p/seg-{sequence:05}.m4s"
        done = touched(its.value, its.read(), seat, now_ms(), segment, sequence, crc32(b"c"))
        assert done is not None
        arguments, its.value = done
        return command("touch", ask, *arguments)

    found: dict[str, float] = {}
    found["new beat"], answers = server.cost_us(seated(ask) for ask in cast.asks)
    assert set(map(repr, answers)) == {"1"}, set(map(repr, answers))
    found["change, three seats"], answers = server.cost_us(first(ask) for ask in cast.asks)
    assert set(map(repr, answers)) == {"1"}
    found["bytes"] = server.bytes()
    found["confirm, beat"], answers = server.cost_us(touch(ask, None) for ask in cast.some)
    assert set(map(repr, answers)) == {"1"}
    found["confirm, segment"], answers = server.cost_us(touch(ask, 8) for ask in cast.some)
    assert set(map(repr, answers)) == {"1"}
    found["admit"], _ = server.cost_us(command("read", ask) for ask in cast.some)

    def stale(ask: Ask) -> tuple[object, ...]:
        made = touch(ask, 9)
        return (*made[:5], b"12345678" + made[5][8:], LATEST)  # type: ignore[index]

    found["touch, mismatch"], answers = server.cost_us(stale(ask) for ask in cast.some)
    assert all(isinstance(answer, list) for answer in answers)
    return found


def server_side(kind: str, sessions: int) -> None:
    cast = Cast(sessions)
    cast.some = cast.some[:12_000]
    words = ["change, three seats", "touch, mismatch"]
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    for _ in range(3):
        pair = []
        for way in (lambda server: today(server, cast, words), lambda server: generic(server, cast)):
            with servers.single(kind) as running:
                server = Server(running.client)
                before = server.bytes()
                found = way(server)
                pair.append(found | {"bytes": (found["bytes"] - before) / len(cast.asks)})
        rounds.append((pair[0], pair[1]))
    print(f"| {kind}, server, {sessions:,} sessions | today | generic |\n|---|---|---|")
    for name in {**rounds[0][0], **rounds[0][1]}:
        values = [min(r[side].get(name, 0) for r in rounds) for side in (0, 1)]
        print(f"| {name} | {values[0]:.1f} | {values[1]:.1f} |", flush=True)


class Worker:
    """A worker on the generic steps: heartbeats only. Its last seen ledgers are its cache."""

    def __init__(self, url: str) -> None:
        self.router, self.keys = Router(parse(url), timeout=5.0), Keys("streamlimit")
        self.kept: dict[str, Kept] = {}
        self.calls = self.confirmations = self.retries = 0
        self.shards: dict[str, int] = {}

    def command(self, script: Generic, shard: int, user: bytes, *arguments: bytes) -> bytes:
        key, due = self.keys.ledger(shard, user), self.keys.due[shard]
        head = b"*%d\r\n%b$1\r\n2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            6 + len(arguments),
            script.head,
            len(key),
            key,
            len(due),
            due,
        )
        return head + b"".join(map(bulk, arguments))

    def beat(self, ask: Ask) -> Any:
        """Who is known goes on, and the answer is heard later; else a future."""
        its = self.kept.get(ask.user_id)
        now = now_ms()
        if its is None:
            its = self.kept[ask.user_id] = Kept(b"")
        ledger = its.read()
        seat = next((s for s in ledger.seats if s.session_id == ask.session_id), None)
        shard, user = shard_of(ask.user_id), ask.user_id.encode()
        if seat is not None and seat.stream_id == ask.stream_id:
            done = touched(its.value, ledger, seat, now, None, None, 0)
            assert done is not None
            arguments, its.value = done
            self.calls += 1
            self.confirmations += 1
            command = self.command(TOUCHES, shard, user, *arguments)
            self.router.send(shard, command, lambda reply: reply, TOUCHES, Heard(self, ask, its), copy_context())
            session = show(ask.user_id, seat, State.ACTIVE)  # type: ignore[arg-type]
            return Admitted(session, Lease(ask, seat.generation, seat.move, now), 3, len(ledger.seats), True)
        return self._start(ask, its, ledger, now, shard, user)

    def _start(self, ask: Ask, its: Kept, ledger: Ledger, now: int, shard: int, user: bytes) -> Deferred[Any]:
        seat = new_seat(ask, now, POLICY.expiry_ms)
        fresh = Ledger([*ledger.seats, seat])
        value, arguments = changed(its.value[:HEAD] or NONE, fresh, now, user, now + POLICY.expiry_ms)
        self.calls += 1
        self.confirmations += 1

        def decoded(reply: Any) -> Any:
            if reply != 1:
                its.value, its.ledger = reply[1] or b"", None
                return None
            its.value, its.ledger = value, fresh
            session = show(ask.user_id, seat, State.ACTIVE)  # type: ignore[arg-type]
            event = Event("session.started", session, now)
            return Admitted(session, Lease(ask, now, 0, now), 3, len(fresh.seats), False, (event,))

        return self.router.call(shard, self.command(CHANGES, shard, user, *arguments), decoded, CHANGES)  # type: ignore[arg-type]


class Heard:
    """Who hears a touch's answer: nobody waits."""

    __slots__ = ("ask", "its", "sent", "worker")

    def __init__(self, worker: Worker, ask: Ask, its: Kept) -> None:
        self.worker, self.ask, self.its, self.sent = worker, ask, its, its.value

    def __call__(self, reply: Any) -> None:
        if not isinstance(reply, list):  # done; where others touched it, too, this is what they made of it
            return
        _, value = reply
        its = self.its
        if value != its.value:
            its.value, its.ledger = value or b"", None
        self.worker.retries += 1
        self.worker.confirmations -= 1  # it is counted again
        self.worker.beat(self.ask)


BATCH = 32


async def pace(beat: Any, asks: Iterator[Ask], count: int) -> tuple[float, float]:
    """Decisions a second and CPU µs a decision: 32 at a time, as many as viewers ask in one turn."""
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(count // BATCH):
        answers = [beat(next(asks)) for _ in range(BATCH)]
        for answer in answers:
            if hasattr(answer, "__await__"):
                await answer
        await asyncio.sleep(0)
    done = count // BATCH * BATCH
    return done / (time.perf_counter() - started), (time.process_time() - cpu) / done * 1e6


async def worker_side(kind: str) -> None:
    from streamlimit.cache import CachingStore
    from streamlimit.cache.outage import OutagePolicy

    with servers.single(kind) as running:
        store = ValkeyStore(running.url, POLICY, timeout=5.0)
        await store.ping()
        steady = CachingStore(store, POLICY, OutagePolicy(spares=True))
        worker = Worker(running.url)
        sitting: dict[str, list[float]] = {"today": [], "generic": []}
        new: dict[str, list[float]] = {"today": [], "generic": []}
        server = Server(running.client)
        costs: dict[str, list[float]] = {"today": [], "generic": []}
        for number in range(5):
            for name, beat in (("today", steady.beat), ("generic", worker.beat)):
                running.client.flushdb()
                worker.kept.clear()
                for k in range(1_000):
                    answer = beat(Ask(f"user-{number}-{name}-{k}", "tv", "film", client="c"))
                    if hasattr(answer, "__await__"):
                        await answer
                seated = [Ask(f"user-{number}-{name}-{k}", "tv", "film", client="c") for k in range(1_000)]
                dice = random.Random(number)
                before = server.cpu_seconds()
                sitting[name].append((await pace(beat, iter(partial(dice.choice, seated), None), 15_000))[1])
                await store.ping()
                costs[name].append((server.cpu_seconds() - before) / 15_000 * 1e6)
                fresh = (Ask(f"new-{number}-{name}-{k}", "tv", "film", client="c") for k in range(30_000))
                new[name].append((await pace(beat, fresh, 9_600))[1])
        print("| worker CPU µs a heartbeat | today | generic |\n|---|---|---|")
        for what, found in (("sitting", sitting), ("new", new), ("server, sitting", costs)):
            print(f"| {what} | {sorted(found['today'])[2]:.1f} | {sorted(found['generic'])[2]:.1f} |", flush=True)
        await store.close()


async def without_affinity(kind: str) -> None:
    with servers.single(kind) as running:
        stores = [ValkeyStore(running.url, POLICY, timeout=5.0) for _ in range(4)]
        workers = [Worker(running.url) for _ in range(4)]
        for store in stores:
            await store.ping()
        dice = random.Random(3)
        asks = [
            Ask(f"user-{k}", f"tv-{i}", "film", client="c") for k in range(1_000) for i in range(dice.choice((1, 2, 3)))
        ]
        for ask in asks:
            answer = None
            while answer is None:
                answer = dice.choice(workers).beat(ask)
                answer = await answer if hasattr(answer, "__await__") else answer
        seating = sum(w.calls for w in workers) / len(asks)
        for worker in workers:
            worker.calls = worker.confirmations = worker.retries = 0
        waited = 0
        for _ in range(40_000 // BATCH):
            answers = [dice.choice(workers).beat(dice.choice(asks)) for _ in range(BATCH)]
            for answer in answers:
                if hasattr(answer, "__await__"):
                    waited += 1
                    await answer
            await asyncio.sleep(0)
        for store in stores:
            await store.ping()
        calls, confirmations = sum(w.calls for w in workers), sum(w.confirmations for w in workers)
        print(
            f"four workers, no affinity: {seating:.2f} calls a new session, {calls / confirmations:.3f} a confirmation"
        )
        print(f"({confirmations} confirmations, {waited} waited: a worker that had not met the session yet)")
        for store in stores:
            await store.close()


if __name__ == "__main__":
    kind = sys.argv[1] if len(sys.argv) > 1 else "redis"
    uvloop.run(worker_side(kind))
    uvloop.run(without_affinity(kind))
    server_side(kind, int(sys.argv[2]) if len(sys.argv) > 2 else 12_000)
