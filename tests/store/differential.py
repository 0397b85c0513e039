"""The rules in Lua beside the rules in Python: the same steps at the same times must get the same answers.

SQLite runs streamlimit/rules; the scripts of the Valkey store say the same again. Thousands of seeded random
steps of a few users who do everything that can be done are the way to notice where they do not.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from streamlimit.model import Admitted, Ask, Confirmed, Device, Event, Lease, Purpose, Receipt, Swept, Terms
from streamlimit.policy import OverLimit, Policy, Reclaim
from streamlimit.rules.beat import beaten, unnamed
from streamlimit.store.contract import Store, resolved
from streamlimit.store.sqlite import SqliteStore
from tests.store.store_driver import ManualClock, OpenStore, all_limits

X = 1_000
POLICIES = {
    "refuse": Policy(segment_ms=X, start_ms=X),
    "buffer": Policy(segment_ms=X, start_ms=5 * X, buffer_ms=4 * X, max_sessions=2),
    "replace-idle": Policy(segment_ms=X, start_ms=X // 2, over_limit=OverLimit.REPLACE_IDLE, missed_segments=2),
    "replace-oldest": Policy(
        segment_ms=X, start_ms=X, over_limit=OverLimit.REPLACE_OLDEST, reclaim_device=Reclaim.NEVER
    ),
    "caps": Policy(segment_ms=X, start_ms=X, max_per_stream=2, max_per_device_type={"tv": 1, "x": 2}),
    "caps-replace": Policy(
        segment_ms=X, start_ms=X, max_per_stream=1, max_per_device_type={"tv": 1}, over_limit=OverLimit.REPLACE_OLDEST
    ),
    "one-a-device": Policy(segment_ms=X, start_ms=X, max_sessions=2, reclaim_device=Reclaim.ALWAYS, max_per_stream=2),
    "visits": Policy(segment_ms=X, start_ms=X, visit_burst=2, max_sessions=2),
    "shared": Policy(segment_ms=X, start_ms=X, max_returns=1, missed_segments=6),
    "dry": Policy(segment_ms=X, start_ms=X, max_sessions=2, max_per_stream=1, enforce=False, visit_burst=1),
    "unguarded": Policy(segment_ms=X + 2, start_ms=X, max_returns=0, missed_segments=6),
}
UUIDS = [f"{k:08x}-0123-4567-89ab-cdef01234567" for k in range(2)]
USERS = ["ann", "bob~@:.-", UUIDS[0]]
SESSIONS = ["tv", "phone", "pad", "box", *UUIDS]
STREAMS = ["news", "film", "tv", UUIDS[1]]
DEVICES = [
    None,
    "tv",
    UUIDS[0],
    Device(),
    Device("tv"),
    Device("tv", "Fernseher im Büro", "tv"),
    Device(None, "x"),
    Device("p", None, "x"),
]
SEGMENTS = [None, "s-1.m4s", "s-2.m4s", "a/long-name-1.m4s"]
JUMPS = [0, 0, 0, 1, 1, 7, X // 50, X // 4, X // 2, X - 1, X, 2 * X, 3 * X - 1, 3 * X, 3 * X + 1, 4 * X]
STEPS = 200
"""Of one walk; tests/soak/test_engines_soak.py walks on."""


class Walk:
    """One random walk; both stores take each step."""

    jumps = JUMPS
    beats = 20
    plays = (0, 0, 0, 1, 2, 1 << 53, (1 << 53) + 1, (1 << 64) - 1)

    def __init__(self, seed: int, clock: ManualClock, stores: list[Store]) -> None:
        self.dice, self.clock, self.stores = random.Random(seed), clock, stores
        self.leases: list[Lease] = []
        self.step = 0

    async def both(self, promise: Callable[[Store], Any], shown: Callable[[Any], Any] = lambda answer: answer) -> Any:
        answers = [await resolved(promise(store)) for store in self.stores]
        first, second = map(shown, answers)
        assert second == first, f"step {self.step}:\nPython {first}\nLua    {second}"
        return answers[0]

    def ask(self) -> Ask:
        pick = self.dice.choice
        return Ask(
            pick(USERS),
            pick(SESSIONS),
            pick(STREAMS),
            purpose=pick([Purpose.LEASE] * 4 + [Purpose.SEAT, Purpose.CHECK]),
            lease_id=f"lease-{self.dice.randrange(self.step // 4, self.step + 1)}",
            device=pick(DEVICES),
            client=pick(["", "a", "b"]),
            kind=pick(["video", "video", "audio", "subtitles"]),
            sequence=pick([None, 0, 1, 2, 3, 50_000_000_000]),
            part=pick([0, 0, 1, 5, 99]),
            replace=pick([None, None, None, *SESSIONS]),
            limit=pick([None, None, None, 1, 2, 4]),
            plan=pick([None, None, None, None, "basic", "Größer ☂"]),
            may_start=pick([True] * 9 + [False]),
            play=pick(self.plays),
            grant_generation=pick([None, None, None, 5, *(lease.generation for lease in self.leases[-3:])]),
        )

    async def admit(self) -> None:
        ask = self.ask()
        answer = await self.both(lambda store: store.admit(ask))
        if isinstance(answer, Admitted) and answer.lease is not None:
            self.leases.append(answer.lease)

    async def beat(self) -> None:
        ask = self.ask()
        answer = await self.both(lambda store: store.beat(ask))
        if isinstance(answer, Admitted) and answer.lease is not None:
            self.leases.append(answer.lease)

    def lease(self) -> Lease:
        recent = self.leases[-25:]
        return self.dice.choice(recent) if recent else Lease(self.ask(), 5, 0)

    async def confirm(self) -> None:
        pick, lease = self.dice.choice, self.lease()
        receipt = Receipt(
            lease,
            pick(SEGMENTS),
            pick([None, 0, 1, 2, 3, 50_000_000_000]),
            pick([lease.ask.kind] * 4 + ["audio"]),
            pick([0, X, 2 * X]),
            pick([0, 0, 0, 0, 1, X, 2 * X, 3 * X]),
            ends_ms=pick([0, 0, 0, 1, 4 * X, 9 * X]),
        )
        answer = await self.both(lambda store: store.confirm(receipt))
        if isinstance(answer, Confirmed):
            session = answer.session
            self.leases.append(Lease(lease.ask, session.generation, session.move, self.clock.now_ms - pick([0, X])))

    async def prolong(self) -> None:
        lease = self.lease()
        await self.both(lambda store: store.prolong(lease))

    async def abandon(self) -> None:
        lease = self.lease()
        await self.both(lambda store: store.abandon(lease))

    async def leave(self) -> None:
        user, session = self.dice.choice(USERS), self.dice.choice(SESSIONS)
        if self.dice.random() < 0.6:
            keep = self.dice.random() < 0.3
            await self.both(lambda store: store.end(user, session, keep))
        else:
            whom = self.dice.choice([session, session, None])
            await self.both(lambda store: store.terminate(user, whom, "ops", "weil ☂"))
        if self.dice.random() < 0.1:
            whom = self.dice.choice([session, None])
            await self.both(lambda store: store.forgive(user, whom))
        elif self.dice.random() < 0.03:
            await self.both(lambda store: store.forget(user))

    async def look(self) -> None:
        for user in USERS:
            await self.both(lambda store, user=user: store.sessions(user))

    async def set_limit(self) -> None:
        user, limit = self.dice.choice(USERS), self.dice.choice([None, None, 1, 2, 5])
        lasts = self.dice.choice([None, None, 1, X, 5 * X, 40 * X])
        terms = Terms(lasts, self.clock.now_ms if lasts else None, self.dice.choice(["", "weil ☂"]))
        await self.both(lambda store: store.set_limit(user, limit, terms))

    async def look_at_limits(self) -> None:
        for user in USERS:
            await self.both(lambda store, user=user: store.own_limit(user))
        await self.both(
            lambda store: all_limits(store, 2), lambda found: sorted(repr(own) for own in found if own.user_id in USERS)
        )

    async def expire(self) -> None:
        async def to_the_end(store: Any) -> list[Event]:
            events: list[Event] = []
            swept = Swept((), more=True)
            while swept.more:  # how many steps it takes is each store's own
                swept = await resolved(store.expire(100))
                events += swept.events
            return events

        await self.both(to_the_end, lambda events: sorted(map(repr, events)))

    async def run(self, steps: int) -> None:
        ways = (
            [self.admit] * 30 + [self.confirm] * 30 + [self.beat] * self.beats + [self.prolong] * 6 + [self.abandon] * 8
        )
        ways += [self.leave] * 5 + [self.look] * 3 + [self.expire] * 2 + [self.set_limit, self.look_at_limits] * 2
        for self.step in range(steps):
            self.clock.now_ms += self.dice.choice(self.jumps)
            await self.dice.choice(ways)()
            if self.step % 500 == 499:
                self.clock.now_ms += 20 * X  # everyone forgotten, now and then


class Unsteady(Walk):
    """The same by clocks that are set back, by a little and by much more than anything lasts."""

    jumps = (*JUMPS, *JUMPS, *JUMPS, -1, -7, -X, -3 * X, -10 * X, -3_000 * X)


class Twins(Walk):
    """The same store twice: the first one beats, the second one admits and confirms. Most of those who beat sit."""

    jumps = (0, 0, 1, 1, 1, 1, 7, 7, X // 4, X // 4, X // 2, X, 2 * X, 3 * X)
    beats = 120

    def ask(self) -> Ask:
        recent = self.leases[-9:]
        if not recent or self.dice.random() < 0.3:
            return super().ask()
        again, client = self.dice.choice(recent).ask, self.dice.choice(["a", "b"])
        return replace(again, sequence=self.dice.choice([None, None, None, 0, 1]), client=client, kind="video")

    async def beat(self) -> None:
        ask, (first, second) = self.ask(), self.stores
        answer = await resolved(first.beat(ask))
        expected = await resolved(second.admit(unnamed(ask)))
        if isinstance(expected, Admitted) and expected.lease is not None:
            expected = beaten(expected, await resolved(second.confirm(Receipt(expected.lease))), ask)
        assert answer == expected, f"step {self.step}"
        if isinstance(answer, Admitted) and answer.lease is not None:
            self.leases.append(answer.lease)


async def walk(
    seed: int,
    policy: Policy,
    path: Path,
    open_valkey: Callable[..., Store],
    subscribed: Any,
    steps: int = STEPS,
    kind: type[Walk] = Walk,
) -> None:
    """One walk under *policy*; raises where an answer differs."""
    clock = ManualClock()
    sqlite = SqliteStore(str(path / "beside.db"), policy, subscribed, clock)
    valkey = open_valkey(policy=policy, subscribed=subscribed, clock=clock)
    try:
        await kind(seed, clock, [sqlite, valkey]).run(steps)  # type: ignore[list-item]
    finally:
        sqlite.close()
        await resolved(valkey.close())


async def walk_twins(seed: int, policy: Policy, open_first: OpenStore, open_second: OpenStore, subscribed: Any) -> None:
    """One walk of two stores of one kind, that know nothing of each other; raises where a beat is not both steps."""
    clock = ManualClock()
    stores = [opener(policy=policy, subscribed=subscribed, clock=clock) for opener in (open_first, open_second)]
    twins = Twins(seed, clock, stores)
    try:
        await twins.run(STEPS)
        await twins.both(lambda store: store.pending())
    finally:
        for store in stores:
            await resolved(store.close())
