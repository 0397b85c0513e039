"""Rule 11 on one worker: who sits goes on while the store is away, and nothing that was received is lost.

The store is a real one on a file; `Moody` stands before it and can be told to be away, or to answer late.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlimit.errors import StoreUnavailable
from streamlimit.knowledge import Knowledge
from streamlimit.model import Admitted, Ask, Confirmed, Event, Lease, Purpose, Receipt, Refusal
from streamlimit.policy import Policy
from streamlimit.steady import CALM_SECONDS, PROBE_SECONDS, Conduct, SteadyStore
from streamlimit.store.contract import resolved
from streamlimit.store.sqlite import SqliteStore

X, N = 1_000, 3
POLICY = Policy(max_sessions=3, segment_ms=X, missed_segments=N, start_ms=X)


class Time:
    """The store's clock (ms) and the worker's (s), moved together, or apart."""

    def __init__(self) -> None:
        self.store_ms, self.worker_s = 1_750_000_000_000, 5_000.0

    def pass_ms(self, ms: int) -> None:
        self.store_ms += ms
        self.worker_s += ms / 1_000


class Moody:
    """A store that can be away, counts what it is asked, and answers in the loop's next turn if `late`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store, self.away, self.late = store, False, False
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.asked.append(name)
            if not self.late:
                return self._answer(name, args)
            return asyncio.get_running_loop().create_task(self._later(name, args))

        return call

    async def _later(self, name: str, args: tuple[Any, ...]) -> Any:
        await asyncio.sleep(0)
        return self._answer(name, args)

    def _answer(self, name: str, args: tuple[Any, ...]) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return getattr(self._store, name)(*args)


class Scene:
    """One worker on one store."""

    def __init__(self, path: Path) -> None:
        self.time, self.path = Time(), path
        self.events: list[Event] = []
        self.changes: list[bool] = []
        self.moody = Moody(SqliteStore(str(path), POLICY, clock=lambda: self.time.store_ms))
        self.worker = self.another()

    def another(self, **conduct: Any) -> SteadyStore:
        return SteadyStore(
            self.moody,  # type: ignore[arg-type]
            POLICY,
            Conduct(**conduct),
            self.events.append,
            self.changes.append,
            clock=lambda: self.time.worker_s,
            wall_ms=lambda: self.time.store_ms,
        )

    async def admit(self, session: str, stream: str = "a", user: str = "u", **more: Any) -> Any:
        ask = Ask(user, session, stream, lease_id=f"{session}-{len(self.moody.asked)}", **more)
        return await resolved(self.worker.admit(ask))

    async def play(self, session: str, segment: int, stream: str = "a", user: str = "u", **more: Any) -> Any:
        """Admits and confirms one segment."""
        admitted = await self.admit(session, stream, user, **more)
        assert isinstance(admitted, Admitted), admitted
        assert admitted.lease is not None
        receipt = Receipt(admitted.lease, f"seg-{segment}", segment)
        return await resolved(self.worker.confirm(receipt))

    async def on_record(self, session: str, user: str = "u") -> Any:
        """The session as the store has it."""
        roster = self.moody._store.sessions(user)
        return next((found for found in roster.sessions if found.session_id == session), None)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "steady.db")
    yield made
    made.moody._store.close()


def run(test: Awaitable[None]) -> None:
    asyncio.run(test)  # type: ignore[arg-type]


def test_a_sitting_session_goes_on_until_n_x_after_the_stores_last_word(scene: Scene) -> None:
    async def story() -> None:
        await scene.play("tv", 0)
        scene.moody.away = True
        for segment in (1, 2):
            scene.time.pass_ms(X)
            confirmed = await scene.play("tv", segment)
            assert isinstance(confirmed, Confirmed)
            assert confirmed.degraded
        scene.time.pass_ms(X - 1)
        assert (await scene.admit("tv")).degraded
        scene.time.pass_ms(1)
        with pytest.raises(StoreUnavailable):
            await scene.admit("tv")

    run(story())


def test_outage_seconds_extend_it(scene: Scene) -> None:
    async def story() -> None:
        scene.worker = scene.another(outage_seconds=10)
        await scene.play("tv", 0)
        scene.moody.away = True
        scene.time.pass_ms(N * X + 9_999)
        assert (await scene.admit("tv")).degraded
        scene.time.pass_ms(1)
        with pytest.raises(StoreUnavailable):
            await scene.admit("tv")

    run(story())


def test_a_new_session_is_refused_while_the_store_is_away(scene: Scene) -> None:
    async def story() -> None:
        scene.moody.away = True
        with pytest.raises(StoreUnavailable):
            await scene.admit("tv")
        scene.time.pass_ms(int(PROBE_SECONDS * 1_000))
        scene.moody.away = False
        assert isinstance(await scene.admit("tv"), Admitted)

    run(story())


def test_refuse_all_refuses_who_sits_and_admit_all_admits_everyone(scene: Scene) -> None:
    async def story() -> None:
        await scene.play("tv", 0)
        scene.worker = scene.another(on_outage="refuse-all")
        await scene.play("tv", 1)
        scene.moody.away = True
        with pytest.raises(StoreUnavailable):
            await scene.admit("tv")
        scene.worker = scene.another(on_outage="admit-all")
        answers = [await scene.admit(f"s{n}") for n in range(5)]
        assert all(isinstance(a, Admitted) and a.degraded for a in answers)
        assert scene.worker.counts.degraded == 5

    run(story())


def test_what_was_received_meanwhile_is_told_with_its_age_when_the_store_is_back(scene: Scene) -> None:
    async def story() -> None:
        await scene.play("tv", 0)
        scene.moody.away = True
        scene.time.pass_ms(2 * X)
        received_ms = scene.time.store_ms
        await scene.play("tv", 2)
        scene.time.pass_ms(X // 2)
        scene.moody.away = False
        await scene.worker.watch_once()
        session = await scene.on_record("tv")
        assert (session.segment, session.last_activity_ms) == ("seg-2", received_ms)
        assert session.expires_at_ms == received_ms + N * X
        assert scene.worker.knowledge.kept == 0

    run(story())


def test_the_newest_receipt_of_a_session_is_kept(scene: Scene) -> None:
    async def story() -> None:
        await scene.play("tv", 0)
        scene.moody.away = True
        for segment in (1, 2):
            scene.time.pass_ms(X // 2)
            await scene.play("tv", segment)
        assert scene.worker.knowledge.kept == 1
        scene.moody.away = False
        await scene.worker.watch_once()
        assert (await scene.on_record("tv")).segment == "seg-2"

    run(story())


def test_kept_receipts_of_a_user_are_told_before_anyone_new_of_theirs_is_admitted(scene: Scene) -> None:
    async def story() -> None:
        for session in ("tv", "phone", "tablet"):
            await scene.play(session, 0)
        scene.moody.away = True
        scene.time.pass_ms(2 * X)
        for session in ("tv", "phone", "tablet"):
            await scene.play(session, 2)
        scene.time.pass_ms(X + 1)  # in the store's books all three are past their time now
        scene.moody.away = False
        refused = await scene.admit("laptop")
        assert isinstance(refused, Refusal)
        assert refused.live == 3

    run(story())


def test_where_a_seat_was_given_away_meanwhile_the_limit_wins(scene: Scene) -> None:
    async def story() -> None:
        for session in ("tv", "phone", "tablet"):
            await scene.play(session, 0)
        scene.moody.away = True
        scene.time.pass_ms(2 * X)
        await scene.play("tv", 2)
        scene.time.pass_ms(X + 1)
        for session in ("x", "y", "z"):  # another worker, which still reaches the store
            lease_id = f"elsewhere-{session}"
            scene.moody._store.admit(Ask("u", session, "a", lease_id=lease_id))
        scene.moody.away = False
        await scene.worker.watch_once()
        assert await scene.on_record("tv") is None
        refused = await scene.admit("tv")
        assert isinstance(refused, Refusal)

    run(story())


def test_a_receipt_older_than_n_x_revives_nobody(scene: Scene) -> None:
    async def story() -> None:
        await scene.play("tv", 0)
        scene.moody.away = True
        scene.time.pass_ms(X)
        await scene.play("tv", 1)
        scene.time.pass_ms(N * X)
        scene.moody.away = False
        await scene.worker.watch_once()
        assert await scene.on_record("tv") is None
        assert scene.worker.knowledge.kept == 0

    run(story())


def test_an_end_during_an_outage_is_not_undone_by_a_kept_receipt(scene: Scene) -> None:
    async def story() -> None:
        await scene.play("tv", 0)
        scene.moody.away = True
        await scene.play("tv", 1)
        with pytest.raises(StoreUnavailable):
            await resolved(scene.worker.end("u", "tv"))
        assert scene.worker.knowledge.kept == 0

    run(story())


def test_the_outage_is_told_once_and_so_is_its_end(scene: Scene) -> None:
    async def story() -> None:
        await scene.play("tv", 0)
        scene.moody.away = True
        for segment in range(1, 6):
            await scene.play("tv", segment)
        assert scene.changes == [True]
        scene.moody.away = False
        scene.time.pass_ms(int(CALM_SECONDS * 1_000))
        await scene.worker.watch_once()
        await scene.worker.watch_once()
        assert scene.changes == [True, False]
        assert scene.worker.counts.outages == 1

    run(story())


def test_a_worker_without_knowledge_admits_on_unexpired_grants_up_to_the_limit(scene: Scene) -> None:
    async def story() -> None:
        scene.worker = scene.another(outage_seconds=10)
        scene.moody.away = True
        admitted = [await scene.admit(f"s{n}", granted=True) for n in range(3)]
        assert all(answer.degraded for answer in admitted)
        assert (await scene.admit("s0", granted=True)).degraded  # the same one again is no fourth
        with pytest.raises(StoreUnavailable):
            await scene.admit("s3", granted=True)
        with pytest.raises(StoreUnavailable):
            await scene.admit("t", user="v")  # no grant
        scene.time.pass_ms(10_000)
        with pytest.raises(StoreUnavailable):
            await scene.admit("s0", granted=True)

    run(story())


def test_a_known_session_needs_no_round_trip(scene: Scene) -> None:
    async def story() -> None:
        scene.worker, scene.moody.late = scene.another(spares=True), True
        await scene.play("tv", 0)
        del scene.moody.asked[:]
        for segment in range(1, 10):
            scene.time.pass_ms(X)
            await scene.play("tv", segment)
            await asyncio.sleep(0.001)
        assert scene.moody.asked == ["confirm"] * 9
        assert (await scene.on_record("tv")).segment == "seg-9"

    run(story())


@pytest.mark.parametrize(
    ("wait_ms", "more"),
    [((N - 1) * X, {}), (0, {"stream": "b"}), (0, {"client": "elsewhere"}), (0, {"wants_next": True})],
    ids=["long silent", "another stream", "another address", "position wanted"],
)
def test_the_store_is_asked_where_knowledge_is_not_enough(scene: Scene, wait_ms: int, more: dict[str, Any]) -> None:
    async def story() -> None:
        scene.worker, scene.moody.late = scene.another(spares=True), True
        await scene.play("tv", 0)
        del scene.moody.asked[:]
        scene.time.pass_ms(wait_ms)
        assert isinstance(await scene.admit("tv", **more), Admitted)
        assert scene.moody.asked == ["admit"]

    run(story())


def test_a_termination_elsewhere_bites_at_the_next_segment_but_one(scene: Scene) -> None:
    async def story() -> None:
        scene.worker, scene.moody.late = scene.another(spares=True), True
        await scene.play("tv", 0)
        scene.moody._store.terminate("u", "tv", "operator", "moved house")
        await scene.play("tv", 1)  # this worker does not know yet
        await asyncio.sleep(0.001)
        refused = await scene.admit("tv")
        assert isinstance(refused, Refusal)
        assert refused.code == "session-terminated"

    run(story())


def test_a_lost_confirmation_of_a_spared_round_trip_is_kept_and_told(scene: Scene) -> None:
    async def story() -> None:
        scene.worker, scene.moody.late = scene.another(spares=True), True
        await scene.play("tv", 0)
        scene.moody.away = True
        await scene.play("tv", 1)
        await asyncio.sleep(0.001)
        assert scene.worker.knowledge.kept == 1
        assert (await scene.admit("tv")).degraded
        scene.moody.away = False
        await scene.worker.watch_once()
        assert (await scene.on_record("tv")).segment == "seg-1"

    run(story())


def test_playlists_follow_the_same_rule(scene: Scene) -> None:
    async def story() -> None:
        await scene.play("tv", 0)
        scene.moody.away = True
        assert (await scene.admit("tv", purpose=Purpose.CHECK)).degraded
        with pytest.raises(StoreUnavailable):
            await scene.admit("phone", purpose=Purpose.CHECK)

    run(story())


def test_knowledge_is_bounded_and_forgets() -> None:
    knowledge = Knowledge(life_seconds=3, kept_at_most=2)
    receipts = [Receipt(_lease(f"s{n}")) for n in range(3)]
    for at, receipt in enumerate(receipts):
        knowledge.keep(receipt, float(at))
    assert [kept.receipt for kept in knowledge.waiting()] == receipts[1:]
    assert knowledge.dropped == 1


def _lease(session: str) -> Lease:
    return Lease(Ask("u", session, "a"), 1, 0)
