"""Rule 11 on one worker: sessions with a seat go on in an outage of the store, and no receipt is lost.

The store is a real one on a file; `Moody` stands before it and can be told to be away, or to answer late.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlimit.cache import CALM_SECONDS, PROBE_SECONDS, CachingStore, OutagePolicy
from streamlimit.errors import StoreUnavailable, StreamlimitError, UnknownSession
from streamlimit.model import Admitted, Ask, Confirmed, Event, Gone, Purpose, Receipt, Refusal
from streamlimit.policy import Policy
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
    """A store that can be away, counts what it is asked, and answers in the loop's next turn if `late`.

    `away_for`: users whose part of it is away, as if it were one shard of a cluster. `fails`: calls that it misses
    though it is there.
    """

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.away, self.late = store, False, False
        self.away_for: set[str] = set()
        self.fails: set[str] = set()
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.asked.append(name)
            if not self.late:
                return self._answer(name, args)
            return asyncio.get_running_loop().create_task(self._later(name, args))

        return call

    def report(self, receipt: Receipt, heard: Callable[[Any], None]) -> None:
        """`confirm`, with its answer passed to *heard*."""
        try:
            answer = self.confirm(receipt)
        except StoreUnavailable as error:
            return heard(error)
        if isinstance(answer, asyncio.Task):
            return answer.add_done_callback(lambda task: task.cancelled() or heard(task.exception() or task.result()))
        return heard(answer)

    async def _later(self, name: str, args: tuple[Any, ...]) -> Any:
        await asyncio.sleep(0)
        return self._answer(name, args)

    def _answer(self, name: str, args: tuple[Any, ...]) -> Any:
        if self.away or name in self.fails or user_of(args) in self.away_for:
            raise StoreUnavailable("away")
        return getattr(self.store, name)(*args)


def user_of(args: tuple[Any, ...]) -> str:
    """Whose call it is; empty where it is nobody's."""
    first = args[0] if args else ""
    lease = getattr(first, "lease", first)
    ask = getattr(lease, "ask", lease)
    return str(getattr(ask, "user_id", ask))


class Scene:
    """One worker on one store."""

    def __init__(self, path: Path) -> None:
        self.time, self.path = Time(), path
        self.events: list[Event] = []
        self.changes: list[bool] = []
        self.moody = Moody(SqliteStore(str(path), POLICY, clock=lambda: self.time.store_ms))
        self.worker = self.another()

    def another(self, **outage_policy: Any) -> CachingStore:
        return CachingStore(
            self.moody,  # type: ignore[arg-type]
            POLICY,
            OutagePolicy(**outage_policy),
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

    async def beat(self, session: str, stream: str = "a", user: str = "u", **more: Any) -> Any:
        """A heartbeat."""
        return await resolved(self.worker.beat(Ask(user, session, stream, **more)))

    async def on_record(self, session: str, user: str = "u") -> Any:
        """The session as the store has it."""
        roster = self.moody.store.sessions(user)
        return next((found for found in roster.sessions if found.session_id == session), None)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "steady.db")
    yield made
    made.moody.store.close()


async def test_a_sitting_session_goes_on_until_n_x_after_the_stores_last_word(scene: Scene) -> None:
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


async def test_outage_seconds_extend_it(scene: Scene) -> None:
    scene.worker = scene.another(outage_seconds=10)
    await scene.play("tv", 0)
    scene.moody.away = True
    scene.time.pass_ms(N * X + 9_999)
    assert (await scene.admit("tv")).degraded
    scene.time.pass_ms(1)
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv")


async def test_a_new_session_is_refused_while_the_store_is_away(scene: Scene) -> None:
    scene.moody.away = True
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv")
    scene.time.pass_ms(int(PROBE_SECONDS * 1_000))
    scene.moody.away = False
    assert isinstance(await scene.admit("tv"), Admitted)


async def test_refuse_all_refuses_who_sits_and_admit_all_admits_everyone(scene: Scene) -> None:
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


async def test_what_was_received_meanwhile_is_told_with_its_age_when_the_store_is_back(scene: Scene) -> None:
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
    assert len(scene.worker.kept) == 0


async def test_the_newest_receipt_of_a_session_is_kept(scene: Scene) -> None:
    await scene.play("tv", 0)
    scene.moody.away = True
    for segment in (1, 2):
        scene.time.pass_ms(X // 2)
        await scene.play("tv", segment)
    assert len(scene.worker.kept) == 1
    scene.moody.away = False
    await scene.worker.watch_once()
    assert (await scene.on_record("tv")).segment == "seg-2"


async def test_kept_receipts_of_a_user_are_told_before_anyone_new_of_theirs_is_admitted(scene: Scene) -> None:
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


async def test_where_a_seat_was_given_away_meanwhile_the_limit_wins(scene: Scene) -> None:
    for session in ("tv", "phone", "tablet"):
        await scene.play(session, 0)
    scene.moody.away = True
    scene.time.pass_ms(2 * X)
    await scene.play("tv", 2)
    scene.time.pass_ms(X + 1)
    for session in ("x", "y", "z"):  # another worker, which still reaches the store
        lease_id = f"elsewhere-{session}"
        scene.moody.store.admit(Ask("u", session, "a", lease_id=lease_id))
    scene.moody.away = False
    await scene.worker.watch_once()
    assert await scene.on_record("tv") is None
    refused = await scene.admit("tv")
    assert isinstance(refused, Refusal)


async def test_a_receipt_older_than_n_x_revives_nobody(scene: Scene) -> None:
    await scene.play("tv", 0)
    scene.moody.away = True
    scene.time.pass_ms(X)
    await scene.play("tv", 1)
    scene.time.pass_ms(N * X)
    scene.moody.away = False
    await scene.worker.watch_once()
    assert await scene.on_record("tv") is None
    assert len(scene.worker.kept) == 0


async def test_an_end_during_an_outage_is_not_undone_by_a_kept_receipt(scene: Scene) -> None:
    await scene.play("tv", 0)
    scene.moody.away = True
    await scene.play("tv", 1)
    with pytest.raises(StoreUnavailable):
        await resolved(scene.worker.end("u", "tv"))
    assert len(scene.worker.kept) == 0


async def test_the_outage_is_told_once_and_so_is_its_end(scene: Scene) -> None:
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


async def test_an_outage_is_not_over_while_anything_still_has_to_be_told(scene: Scene) -> None:
    spared(scene)
    await scene.play("tv", 0)
    scene.moody.away_for = {"u"}
    await scene.play("tv", 1)
    await turn()
    scene.time.pass_ms(int(CALM_SECONDS * 1_000))
    await scene.play("tv", 0, user="v")  # the other shards answer
    assert (scene.changes, scene.worker.is_away) == ([True], True)
    scene.moody.away_for = set()
    await scene.worker.watch_once()
    assert (scene.changes, scene.worker.is_away) == ([True, False], False)


async def test_a_worker_without_knowledge_admits_on_unexpired_grants_up_to_the_limit(scene: Scene) -> None:
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


async def test_a_known_session_needs_no_round_trip(scene: Scene) -> None:
    scene.worker, scene.moody.late = scene.another(spares=True), True
    await scene.play("tv", 0)
    del scene.moody.asked[:]
    for segment in range(1, 10):
        scene.time.pass_ms(X)
        await scene.play("tv", segment)
        await asyncio.sleep(0.001)
    assert scene.moody.asked == ["confirm"] * 9
    assert (await scene.on_record("tv")).segment == "seg-9"


@pytest.mark.parametrize(
    ("wait_ms", "more"),
    [((N - 1) * X, {}), (0, {"stream": "b"}), (0, {"client": "elsewhere"}), (0, {"wants_next": True})],
    ids=["long silent", "another stream", "another address", "position wanted"],
)
async def test_the_store_is_asked_where_knowledge_is_not_enough(
    scene: Scene, wait_ms: int, more: dict[str, Any]
) -> None:
    scene.worker, scene.moody.late = scene.another(spares=True), True
    await scene.play("tv", 0)
    del scene.moody.asked[:]
    scene.time.pass_ms(wait_ms)
    assert isinstance(await scene.admit("tv", **more), Admitted)
    assert scene.moody.asked == ["admit"]


async def test_a_termination_elsewhere_bites_at_the_next_segment_but_one(scene: Scene) -> None:
    scene.worker, scene.moody.late = scene.another(spares=True), True
    await scene.play("tv", 0)
    scene.moody.store.terminate("u", "tv", "operator", "moved house")
    await scene.play("tv", 1)  # this worker does not know yet
    await asyncio.sleep(0.001)
    refused = await scene.admit("tv")
    assert isinstance(refused, Refusal)
    assert refused.code == "session-terminated"


async def test_a_lost_confirmation_of_a_spared_round_trip_is_kept_and_told(scene: Scene) -> None:
    scene.worker, scene.moody.late = scene.another(spares=True), True
    await scene.play("tv", 0)
    scene.moody.away = True
    await scene.play("tv", 1)
    await asyncio.sleep(0.001)
    assert len(scene.worker.kept) == 1
    assert (await scene.admit("tv")).degraded
    scene.moody.away = False
    await scene.worker.watch_once()
    assert (await scene.on_record("tv")).segment == "seg-1"


async def test_playlists_follow_the_same_rule(scene: Scene) -> None:
    await scene.play("tv", 0)
    scene.moody.away = True
    assert (await scene.admit("tv", purpose=Purpose.CHECK)).degraded
    with pytest.raises(StoreUnavailable):
        await scene.admit("phone", purpose=Purpose.CHECK)


def spared(scene: Scene, **outage_policy: Any) -> None:
    """From now on as on Valkey: answers come later, and who is known does not wait for them."""
    scene.worker, scene.moody.late = scene.another(spares=True, **outage_policy), True


async def turn() -> None:
    """What is under way in the background arrives."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_of_one_session_at_once_are_all_answered_in_an_outage(scene: Scene) -> None:
    spared(scene)
    await scene.play("tv", 0)
    scene.moody.away = True
    for silence in (0, (N - 1) * X):  # at first from cache alone, then the store is tried each time
        scene.time.pass_ms(silence)
        confirmed = await asyncio.gather(*(scene.play("tv", 1 + n, kind=f"kind-{n}") for n in range(8)))
        await turn()
        assert all(isinstance(verdict, Confirmed) for verdict in confirmed)
        assert len(scene.worker.kept) == 1
    scene.moody.away = False
    await scene.worker.watch_once()
    assert (await scene.on_record("tv")).last_activity_ms == scene.time.store_ms


async def test_who_was_only_just_admitted_goes_on_as_long_as_the_reservation_lives(scene: Scene) -> None:
    admitted = await scene.admit("tv")
    scene.moody.away = True
    kept = await resolved(scene.worker.confirm(Receipt(admitted.lease, "seg-0", 0)))
    assert kept.degraded
    assert (await scene.admit("tv")).degraded
    scene.time.pass_ms(X)
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv")
    scene.moody.away = False
    await scene.worker.watch_once()
    assert (await scene.on_record("tv")).segment == "seg-0"


async def test_who_moved_here_from_another_worker_goes_on_by_what_the_store_said_on_admission(scene: Scene) -> None:
    elsewhere = scene.another()
    await scene.play("tv", 0)
    scene.worker = elsewhere
    scene.time.pass_ms(X)
    await scene.admit("tv")
    scene.moody.away = True
    scene.time.pass_ms((N - 1) * X - 1)
    assert (await scene.admit("tv")).degraded
    scene.time.pass_ms(1)  # n·X after its last activity the store may give the seat away
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv")


@pytest.mark.parametrize("leave", ["end", "terminate", "terminate all"])
async def test_who_left_here_while_the_store_is_away_is_neither_admitted_nor_brought_back(
    scene: Scene, leave: str
) -> None:
    spared(scene)
    await scene.play("tv", 0)
    scene.moody.away = True
    await scene.play("tv", 1)  # under way while the session leaves
    session = None if leave == "terminate all" else "tv"
    with pytest.raises(StoreUnavailable):
        await resolved(
            scene.worker.end("u", "tv")
            if leave == "end"
            else scene.worker.terminate("u", session, "operator", "why not")
        )
    await turn()
    assert len(scene.worker.kept) == 0
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv")
    scene.moody.away = False
    await scene.worker.watch_once()
    assert (await scene.on_record("tv")).segment == "seg-0"


async def test_an_answer_that_comes_after_the_end_does_not_make_the_session_known_again(scene: Scene) -> None:
    spared(scene)
    await scene.play("tv", 0)
    await scene.play("tv", 1)
    await resolved(scene.worker.end("u", "tv"))
    await turn()
    del scene.moody.asked[:]
    again = await scene.admit("tv")
    assert scene.moody.asked == ["admit"]
    assert not again.existing
    await resolved(scene.worker.confirm(Receipt(again.lease, "seg-0", 0)))
    assert (await scene.admit("tv")).existing


async def test_a_late_no_for_an_earlier_seat_leaves_the_present_one_known(scene: Scene) -> None:
    await scene.play("tv", 0)
    old = (await scene.admit("tv")).lease
    await resolved(scene.worker.end("u", "tv"))
    await scene.play("tv", 0)
    assert isinstance(await resolved(scene.worker.confirm(Receipt(old, "seg-1", 1))), Gone)
    scene.moody.away = True
    assert (await scene.admit("tv")).degraded


async def test_a_receipt_that_waits_comes_before_the_sessions_own_next_question(scene: Scene) -> None:
    """Else the store, which has seen it expire, would seat it anew, and the receipt would be nobody's."""

    scene.worker = scene.another(outage_seconds=10)
    before = await scene.play("tv", 0)
    scene.moody.away = True
    scene.time.pass_ms(2 * X)
    await scene.play("tv", 2)
    scene.time.pass_ms(2 * X)
    scene.moody.away = False
    admitted = await scene.admit("tv")
    assert admitted.existing
    assert admitted.session.generation == before.session.generation
    assert admitted.session.segment == "seg-2"


async def test_admit_all_seats_whom_it_let_in_when_the_store_is_back(scene: Scene) -> None:
    spared(scene, on_outage="admit-all")
    scene.moody.away = True
    for session in ("a", "b", "c", "d"):
        assert (await scene.play(session, 0)).session.generation == 0
        scene.time.pass_ms(10)
    assert (await scene.admit("a", wants_next=True)).session.segment == "seg-0"  # and so it goes on from there
    scene.moody.away = False
    scene.time.pass_ms(int(CALM_SECONDS * 1_000))
    await scene.worker.watch_once()
    seated = [session for session in ("a", "b", "c", "d") if await scene.on_record(session) is not None]
    assert seated == ["a", "b", "c"]
    assert len(scene.worker.kept) == 0
    assert [event.type for event in scene.events] == ["session.started"] * 3
    refused = await scene.admit("d")
    assert isinstance(refused, Refusal)
    known = await scene.admit("a")
    assert known.lease.generation == (await scene.on_record("a")).generation


async def test_a_worker_restarted_in_an_outage_goes_on_with_the_seat_that_the_store_still_has(scene: Scene) -> None:
    first = await scene.play("tv", 0)
    scene.moody.away = True
    scene.worker = scene.another(outage_seconds=10)
    scene.time.pass_ms(X)
    played = await scene.play("tv", 1, granted=True)
    assert played.degraded
    with pytest.raises(StoreUnavailable):
        await scene.admit("phone", purpose=Purpose.CHECK)
    scene.moody.away = False
    await scene.worker.watch_once()
    session = await scene.on_record("tv")
    assert (session.generation, session.last_activity_ms) == (first.session.generation, scene.time.store_ms)


async def test_a_playlist_takes_no_provisional_seat(scene: Scene) -> None:
    scene.worker = scene.another(outage_seconds=10)
    scene.moody.away = True
    for number in range(5):
        assert (await scene.admit(f"s{number}", granted=True, purpose=Purpose.CHECK)).degraded
    assert (await scene.admit("tv", granted=True)).degraded


async def test_a_provisional_seat_comes_free_after_n_x_of_silence(scene: Scene) -> None:
    scene.worker = scene.another(outage_seconds=100)
    scene.moody.away = True
    for number in range(3):
        assert (await scene.admit(f"s{number}", granted=True)).degraded
    scene.time.pass_ms(N * X + 100_000 - 1)
    assert scene.worker.cache.sitting("u", scene.time.worker_s) == 3
    scene.time.pass_ms(1)
    assert scene.worker.cache.sitting("u", scene.time.worker_s) == 0


async def test_one_who_was_known_long_ago_is_let_in_as_a_stranger_is(scene: Scene) -> None:
    scene.worker = scene.another(outage_seconds=2)
    await scene.play("tv", 0)
    scene.time.pass_ms(100 * X)
    scene.moody.away = True
    assert (await scene.admit("tv", granted=True)).lease.generation == 0
    scene.time.pass_ms(2_000)
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv", granted=True)


async def test_a_receipt_of_a_lease_that_another_worker_gave_keeps_its_generation(scene: Scene) -> None:
    lease = (await scene.admit("tv")).lease
    scene.worker = scene.another()
    scene.moody.away = True
    kept = await resolved(scene.worker.confirm(Receipt(lease, "seg-0", 0)))
    assert (kept.degraded, kept.session.generation) == (True, lease.generation)
    scene.moody.away = False
    await scene.worker.watch_once()
    assert (await scene.on_record("tv")).segment == "seg-0"


async def test_only_the_users_of_the_shard_that_is_away_are_affected(scene: Scene) -> None:
    spared(scene)
    for user in ("u", "v"):
        await scene.play("tv", 0, user=user)
    scene.moody.away_for = {"u"}
    for segment in (1, 2):
        scene.time.pass_ms(X)
        for user in ("u", "v"):
            await scene.play("tv", segment, user=user)
        await turn()
    assert (await scene.admit("tv", user="u")).degraded
    assert not (await scene.admit("tv", user="v")).degraded
    with pytest.raises(StoreUnavailable):
        await scene.admit("phone", user="u")
    assert not (await scene.admit("phone", user="v")).degraded
    assert scene.worker.is_away
    await scene.worker.watch_once()
    assert len(scene.worker.kept) == 1
    assert (await scene.on_record("tv", "v")).segment == "seg-2"


async def test_receipts_of_a_living_shard_are_told_though_many_of_a_dead_one_wait_before_them(scene: Scene) -> None:
    for number in range(300):
        await scene.play("tv", 0, user=f"dead-{number}")
    await scene.play("tv", 0, user="alive")
    scene.moody.away = True
    for number in range(300):
        await scene.play("tv", 1, user=f"dead-{number}")
    await scene.play("tv", 1, user="alive")
    scene.moody.away, scene.moody.away_for = False, {f"dead-{number}" for number in range(300)}
    for _ in range(2):
        await scene.worker.watch_once()
    assert len(scene.worker.kept) == 300
    assert (await scene.on_record("tv", "alive")).segment == "seg-1"


async def test_all_that_was_kept_is_told_in_one_look_and_before_a_worker_stops(scene: Scene) -> None:
    spared(scene)
    for number in range(600):
        await scene.play("tv", 0, user=f"user-{number}")
    scene.moody.away = True
    for number in range(600):
        await scene.play("tv", 1, user=f"user-{number}")
    await turn()
    assert len(scene.worker.kept) == 600
    scene.moody.away = False
    await scene.worker.finish()
    assert len(scene.worker.kept) == 0


async def test_bytes_that_still_move_prolong_what_the_worker_grants_and_an_outage_does_not_stop_them(
    scene: Scene,
) -> None:
    await scene.play("tv", 0)
    lease = (await scene.admit("tv")).lease
    scene.time.pass_ms(2 * X)
    assert await resolved(scene.worker.prolong(lease)) is None
    scene.moody.away = True
    scene.time.pass_ms(2 * X)
    assert await resolved(scene.worker.prolong(lease)) is None
    assert (await scene.admit("tv")).degraded
    scene.time.pass_ms(X)  # n·X after the store's last word, which was the first prolonging
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv")


async def test_a_session_that_is_gone_while_its_bytes_move_is_known_no_more(scene: Scene) -> None:
    await scene.play("tv", 0)
    lease = (await scene.admit("tv")).lease
    scene.moody.store.terminate("u", "tv", "operator", "moved house")
    assert isinstance(await resolved(scene.worker.prolong(lease)), Gone)
    scene.moody.away = True
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv")


async def test_an_abandoned_reservation_is_known_no_more(scene: Scene) -> None:
    lease = (await scene.admit("tv")).lease
    await resolved(scene.worker.abandon(lease))
    scene.moody.away = True
    with pytest.raises(StoreUnavailable):
        await scene.admit("tv")
    assert await resolved(scene.worker.abandon(lease)) == ()


async def test_events_of_confirmations_that_nobody_waited_for_are_told_exactly_once(scene: Scene) -> None:
    spared(scene)
    started = await scene.play("tv", 0)  # whoever waits for the answer tells these
    assert [event.type for event in started.events] == ["session.started"]
    scene.moody.away = True
    moved = await scene.play("tv", 1, stream="b")
    assert moved.degraded
    await scene.play("tv", 2, stream="b")
    scene.moody.away = False
    await asyncio.gather(scene.worker.watch_once(), scene.admit("phone"), scene.worker.watch_once())
    await turn()
    assert [event.type for event in scene.events] == ["session.moved"]
    assert (await scene.on_record("tv")).stream_id == "b"


async def test_a_file_that_failed_rests_and_is_tried_again_though_requests_keep_coming(scene: Scene) -> None:
    await scene.play("tv", 0)
    scene.moody.away = True
    await scene.admit("tv")
    scene.moody.away = False
    asked = len(scene.moody.asked)
    for _ in range(int(PROBE_SECONDS * 1_000) // 50 - 1):
        scene.time.pass_ms(50)
        assert (await scene.admit("tv")).degraded
    assert len(scene.moody.asked) == asked
    scene.time.pass_ms(50)
    assert not (await scene.admit("tv")).degraded


async def test_refused_for_sharing_says_nothing_of_the_seat(scene: Scene) -> None:
    spared(scene)
    for segment, client in ((5, "one"), (4, "two"), (3, "one"), (2, "two"), (1, "one")):
        answer = await scene.admit("tv", client=client, sequence=segment)
        if isinstance(answer, Refusal):
            break
        await resolved(scene.worker.confirm(Receipt(answer.lease, f"seg-{segment}", segment)))
        await turn()
    assert answer.code == "session-shared"
    scene.moody.away = True
    assert (await scene.admit("tv", client="one")).lease is not None


# Heartbeats: admitted and confirmed in one


async def test_the_beats_of_a_known_session_need_no_round_trip_and_each_counts(scene: Scene) -> None:
    spared(scene)
    ask = Ask("u", "tv", "a")  # the same each time, as where its bytes are remembered
    await resolved(scene.worker.beat(ask))
    del scene.moody.asked[:]
    for _ in range(9):
        scene.time.pass_ms(X)
        admitted = scene.worker.beat(ask)
        assert isinstance(admitted, Admitted), "nobody waits"
        assert (admitted.existing, admitted.degraded, admitted.limit, admitted.live) == (True, False, 3, 1)
        await turn()
        assert (await scene.on_record("tv")).last_activity_ms == scene.time.store_ms
    assert scene.moody.asked == ["confirm"] * 9


@pytest.mark.parametrize(
    ("wait_ms", "more"),
    [((N - 1) * X, {}), (0, {"stream": "b"}), (0, {"client": "elsewhere"})],
    ids=["long silent", "another stream", "another address"],
)
async def test_the_store_is_asked_for_a_beat_where_knowledge_is_not_enough(
    scene: Scene, wait_ms: int, more: dict[str, Any]
) -> None:
    spared(scene)
    await scene.beat("tv")
    del scene.moody.asked[:]
    scene.time.pass_ms(wait_ms)
    for _ in range(2):  # the first answer teaches
        assert isinstance(await scene.beat("tv", **more), Admitted)
        await turn()
    assert scene.moody.asked == ["beat", "confirm"]
    session = await scene.on_record("tv")
    assert (session.last_activity_ms, session.stream_id) == (scene.time.store_ms, more.get("stream", "a"))


async def test_a_file_is_asked_for_every_beat(scene: Scene) -> None:
    for _ in range(3):
        await scene.beat("tv")
    assert scene.moody.asked == ["beat"] * 3


async def test_a_fourth_beat_is_refused_though_three_are_known(scene: Scene) -> None:
    spared(scene)
    for session in ("tv", "phone", "tablet"):
        await scene.beat(session)
    assert isinstance(await scene.beat("laptop"), Refusal)
    assert isinstance(await scene.beat("tv"), Admitted)


@pytest.mark.parametrize("fast", [False, True], ids=["file", "servers"])
async def test_who_is_known_beats_on_while_the_store_is_away_and_that_is_told_with_its_age(
    scene: Scene, fast: bool
) -> None:
    scene.worker, scene.moody.late = scene.another(spares=fast), fast
    await scene.beat("tv")
    scene.moody.away = True
    for _ in range(2):
        scene.time.pass_ms(X - 1)
        admitted = await scene.beat("tv")
        await turn()
        assert isinstance(admitted, Admitted)
    assert (admitted.degraded, admitted.live, len(scene.worker.kept)) == (True, 1, 1)
    beaten_ms = scene.time.store_ms
    scene.time.pass_ms(X // 2)
    scene.moody.away = False
    await scene.worker.watch_once()
    session = await scene.on_record("tv")
    assert (session.last_activity_ms, session.expires_at_ms) == (beaten_ms, beaten_ms + N * X)
    assert len(scene.worker.kept) == 0


async def test_who_is_unknown_does_not_beat_while_the_store_is_away(scene: Scene) -> None:
    scene.moody.away = True
    for late in (False, True):
        scene.worker, scene.moody.late = scene.another(spares=late), late
        for _ in range(2):  # at first it is not known to be away
            with pytest.raises(StoreUnavailable):
                await scene.beat("tv")
        assert (len(scene.worker.kept), scene.worker.counts.degraded) == (0, 0)


async def test_refuse_all_lets_nobody_beat_on(scene: Scene) -> None:
    spared(scene, on_outage="refuse-all")
    await scene.beat("tv")
    scene.moody.away = True
    await scene.beat("tv")  # this one finds out
    await turn()
    for session in ("tv", "phone"):
        with pytest.raises(StoreUnavailable):
            await scene.beat(session)


@pytest.mark.parametrize("fast", [False, True], ids=["file", "servers"])
async def test_admit_all_lets_everyone_beat_and_the_limit_wins_when_the_store_is_back(scene: Scene, fast: bool) -> None:
    scene.worker, scene.moody.late = scene.another(spares=fast, on_outage="admit-all"), fast
    scene.moody.away = True
    for session in ("a", "b", "c", "d"):
        admitted = await scene.beat(session)
        assert (admitted.degraded, admitted.session.generation) == (True, 0)
        scene.time.pass_ms(10)
    assert (scene.worker.counts.degraded, len(scene.worker.kept)) == (4, 4)
    scene.moody.away = False
    scene.time.pass_ms(int(CALM_SECONDS * 1_000))
    await scene.worker.watch_once()
    seated = [session for session in ("a", "b", "c", "d") if await scene.on_record(session) is not None]
    assert seated == ["a", "b", "c"]
    assert [event.type for event in scene.events] == ["session.started"] * 3
    assert isinstance(await scene.beat("d"), Refusal)
    assert not (await scene.beat("a")).degraded


async def test_on_unexpired_grants_as_many_beat_as_the_limit_says(scene: Scene) -> None:
    scene.worker = scene.another(outage_seconds=10)
    scene.moody.away = True
    for session in ("a", "b", "c", "a"):
        assert (await scene.beat(session, granted=True)).degraded
    for session, granted in (("d", True), ("e", False)):
        with pytest.raises(StoreUnavailable):
            await scene.beat(session, granted=granted)


async def test_a_beat_that_fails_on_its_way_is_kept(scene: Scene) -> None:
    """The store was there when it was asked, and never answered."""

    spared(scene)
    await scene.beat("tv")
    scene.time.pass_ms((N - 1) * X)  # so long that the store is asked
    coming = scene.worker.beat(Ask("u", "tv", "a"))
    scene.moody.away = True
    admitted = await resolved(coming)
    assert isinstance(admitted, Admitted)
    assert (admitted.degraded, len(scene.worker.kept), scene.worker.counts.degraded) == (True, 1, 1)
    scene.moody.away = False
    await scene.worker.watch_once()
    assert (await scene.on_record("tv")).last_activity_ms == scene.time.store_ms


async def test_a_beat_that_fails_between_its_two_steps_is_kept_and_marked_once(scene: Scene) -> None:
    await scene.beat("tv")
    scene.moody.away = True
    await scene.beat("tv")
    scene.moody.away = False
    scene.time.pass_ms(int(PROBE_SECONDS * 1_000))
    await scene.worker.flush()  # now it is there, but has not been for long
    assert (scene.worker.is_away, len(scene.worker.kept)) == (True, 0)
    before, scene.moody.fails = scene.worker.counts.degraded, {"confirm"}
    admitted = await scene.beat("tv")
    assert (admitted.degraded, scene.worker.counts.degraded - before, len(scene.worker.kept)) == (True, 1, 1)
    scene.moody.fails = set()
    await scene.worker.watch_once()
    assert (await scene.on_record("tv")).last_activity_ms == scene.time.store_ms


async def test_while_the_store_is_coming_back_what_was_kept_is_told_before_a_new_beat(scene: Scene) -> None:
    for session in ("tv", "phone", "tablet"):
        await scene.beat(session)
    scene.moody.away = True
    scene.time.pass_ms(2 * X)
    for session in ("tv", "phone", "tablet"):
        await scene.beat(session)
    scene.time.pass_ms(X + 1)  # in the store's books all three are past their time now
    scene.moody.away = False
    assert isinstance(await scene.beat("laptop"), Refusal)


async def test_a_termination_elsewhere_bites_at_the_next_beat_but_one(scene: Scene) -> None:
    spared(scene)
    await scene.beat("tv")
    scene.moody.store.terminate("u", "tv", "operator", "moved house")
    assert isinstance(await scene.beat("tv"), Admitted)  # this worker does not know yet
    await turn()
    refused = await scene.beat("tv")
    assert isinstance(refused, Refusal)
    assert refused.code == "session-terminated"


async def test_who_was_ended_and_seated_anew_elsewhere_beats_for_the_new_seat(scene: Scene) -> None:
    spared(scene)
    ask = Ask("u", "tv", "a")
    first = await resolved(scene.worker.beat(ask))
    scene.moody.store.end("u", "tv")
    for _ in range(2):
        await resolved(scene.worker.beat(ask))
        await turn()
    second = await resolved(scene.worker.beat(ask))
    await turn()
    assert second.session.generation > first.session.generation
    scene.time.pass_ms(X)
    await resolved(scene.worker.beat(ask))
    await turn()
    assert (await scene.on_record("tv")).last_activity_ms == scene.time.store_ms
    assert isinstance(scene.worker.beat(ask), Admitted), "it is known, and stays so"


@pytest.mark.parametrize("leave", ["end", "terminate"])
@pytest.mark.parametrize("way", ["beat", "admit"])
async def test_who_leaves_while_the_store_is_asked_is_known_no_more(scene: Scene, leave: str, way: str) -> None:
    """The store seated or confirmed it before it left; its answer comes after that."""

    spared(scene)
    await scene.beat("tv")
    scene.time.pass_ms((N - 1) * X)  # so long that the store is asked
    ask = Ask("u", "tv", "a", lease_id="late")
    coming = asyncio.ensure_future(scene.worker.beat(ask) if way == "beat" else scene.worker.admit(ask))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    scene.time.pass_ms(1)
    if leave == "end":
        await resolved(scene.worker.end("u", "tv"))
    else:
        await resolved(scene.worker.terminate("u", "tv", "operator", "moved house"))
    await coming
    del scene.moody.asked[:]
    await scene.beat("tv")
    assert scene.moody.asked == ["beat"], "the store decides whether it may come back"


async def test_a_beat_on_its_way_while_the_session_leaves_and_the_store_goes_brings_nobody_back(scene: Scene) -> None:
    spared(scene)
    await scene.beat("tv")
    scene.time.pass_ms((N - 1) * X)
    coming = scene.worker.beat(Ask("u", "tv", "a"))
    scene.moody.away = True
    with pytest.raises(StoreUnavailable):
        await resolved(scene.worker.end("u", "tv"))
    with pytest.raises(StreamlimitError):
        await resolved(coming)
    assert len(scene.worker.kept) == 0
    with pytest.raises(StoreUnavailable):
        await scene.beat("tv")


async def test_who_is_ended_between_the_two_steps_of_a_beat_is_unknown(scene: Scene) -> None:
    await scene.beat("tv")
    scene.moody.away = True
    await scene.beat("tv")
    scene.moody.away, scene.moody.late = False, True
    scene.time.pass_ms(int(PROBE_SECONDS * 1_000))
    await scene.worker.flush()
    del scene.moody.asked[:]
    coming = asyncio.ensure_future(scene.beat("tv"))
    while scene.moody.asked != ["admit", "confirm"]:
        await asyncio.sleep(0)
    scene.moody.store.end("u", "tv")
    with pytest.raises(UnknownSession):
        await coming
    assert await scene.on_record("tv") is None


@pytest.mark.parametrize("fast", [False, True], ids=["file", "servers"])
async def test_an_end_in_an_outage_is_not_undone_by_a_kept_beat(scene: Scene, fast: bool) -> None:
    scene.worker, scene.moody.late = scene.another(spares=fast), fast
    await scene.beat("tv")
    scene.moody.away = True
    await scene.beat("tv")  # on servers it is under way while the session ends
    with pytest.raises(StoreUnavailable):
        await resolved(scene.worker.end("u", "tv"))
    await turn()
    assert len(scene.worker.kept) == 0
    with pytest.raises(StoreUnavailable):
        await scene.beat("tv")


async def test_every_beat_without_the_store_is_marked_and_counted_once(scene: Scene) -> None:
    for late in (False, True):  # it says at once that it is not there, or later
        scene.worker, scene.moody.late, scene.moody.away = scene.another(spares=True), late, False
        await scene.beat("tv")
        scene.moody.away = True
        answers = []
        for _ in range(4):
            answers.append(await scene.beat("tv"))
            await turn()
        marked = [answer.degraded for answer in answers]
        assert marked == [not late, True, True, True]
        assert scene.worker.counts.degraded == sum(marked)


async def test_events_of_a_beat_that_nobody_waited_for_are_told_once(scene: Scene) -> None:
    spared(scene)
    before = await scene.beat("tv")
    del scene.events[:]
    with sqlite3.connect(scene.path) as db:
        db.execute("DELETE FROM ledgers")  # the store loses everything: the beat seats it again
    for _ in range(2):
        await scene.beat("tv")
        await turn()
    assert [event.type for event in scene.events] == ["session.started"]
    again = await scene.on_record("tv")
    assert again.generation > before.session.generation
    assert isinstance(scene.worker.beat(Ask("u", "tv", "a")), Admitted)
