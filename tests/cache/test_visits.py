"""Rules 8 and 13 at one worker: what its cache may answer, and the visits that it spends in an outage."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlimit.cache import CachingStore, OutagePolicy
from streamlimit.cache.budgets import USERS, Budgets
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Purpose, Refusal
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore
from tests.cache.test_caching_store import POLICY, Moody, Scene, X, spared, turn

TWO_VISITS = Policy(max_sessions=2, segment_ms=X, missed_segments=30, start_ms=X, visit_burst=1)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "visits.db")
    yield made
    made.moody.store.close()


def of_two_visits(scene: Scene, **conduct: Any) -> None:
    """A user has two visits at once; one comes back each X."""
    store = SqliteStore(scene.path, TWO_VISITS, clock=lambda: scene.time.store_ms)
    scene.moody.store.close()
    scene.moody = Moody(store)
    scene.worker = CachingStore(
        scene.moody,  # type: ignore[arg-type]
        TWO_VISITS,
        OutagePolicy(**conduct),
        clock=lambda: scene.time.worker_s,
        wall_ms=lambda: scene.time.store_ms,
    )


async def test_memory_lets_only_the_play_that_received_last_go_on(scene: Scene) -> None:
    spared(scene)
    await scene.play("tv", 0, play=1)
    del scene.moody.asked[:]
    await scene.play("tv", 1, play=1)
    assert "admit" not in scene.moody.asked
    for play in (2, 1, 2):
        await scene.play("tv", 0, play=play)
        await turn()
    assert scene.moody.asked.count("admit") == 3
    for _ in range(3):
        answer = await scene.admit("tv", play=1)
        assert isinstance(answer, Refusal)
        assert answer.code == "session-shared"
    assert isinstance(await scene.admit("tv", play=2), Admitted)


async def test_a_heartbeat_of_who_plays_needs_no_round_trip(scene: Scene) -> None:
    spared(scene)
    await scene.play("tv", 0, play=1)
    await turn()
    del scene.moody.asked[:]
    for _ in range(3):
        scene.time.pass_ms(X)
        assert isinstance(await scene.beat("tv"), Admitted)
        await turn()
    assert "beat" not in scene.moody.asked
    assert (await scene.on_record("tv")).play == 1


async def test_a_move_is_always_asked_of_the_store(scene: Scene) -> None:
    spared(scene)
    await scene.play("tv", 0)
    del scene.moody.asked[:]
    for stream in ("b", "c", "b"):
        await scene.admit("tv", stream)
    assert scene.moody.asked == ["admit"] * 3


async def test_in_an_outage_a_worker_spends_the_budget_that_it_last_saw(scene: Scene) -> None:
    of_two_visits(scene)
    await scene.play("tv", 0)
    scene.moody.away = True
    for _ in range(3):
        assert isinstance(await scene.admit("tv", "b"), Admitted)  # the one that is left, and the same again
    refusal = await scene.admit("tv", "c")
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.degraded, refusal.retry_after_ms) == ("too-many-visits", True, X)
    assert (await scene.beat("tv", "c")).code == "too-many-visits"
    assert isinstance(await scene.admit("tv", "c", purpose=Purpose.CHECK), Admitted)
    assert isinstance(await scene.admit("tv", "a"), Admitted)
    scene.time.pass_ms(X)
    assert isinstance(await scene.admit("tv", "c"), Admitted)


async def test_what_the_store_was_paid_just_before_an_outage_is_not_paid_again(scene: Scene) -> None:
    of_two_visits(scene)
    await scene.play("tv", 0)
    await scene.admit("tv", "b")
    scene.moody.away = True
    assert isinstance(await scene.admit("tv", "b"), Admitted)
    assert isinstance(await scene.admit("tv", "c"), Refusal)


async def test_newcomers_of_an_outage_pay_too(scene: Scene) -> None:
    of_two_visits(scene, on_outage="admit-all")
    scene.moody.away = True
    for name in ("s1", "s2"):
        assert isinstance(await scene.admit(name), Admitted)
    assert isinstance(await scene.admit("s3"), Refusal)
    assert isinstance(await scene.admit("s1"), Admitted)
    assert isinstance(await scene.admit("s4", user="another"), Admitted)


async def test_who_may_not_come_in_while_the_store_is_away_pays_nothing(scene: Scene) -> None:
    of_two_visits(scene)
    await scene.play("tv", 0)
    scene.moody.away = True
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            await scene.admit("new")
    assert isinstance(await scene.admit("tv", "b"), Admitted), "one of the two visits is left"
    assert isinstance(await scene.admit("tv", "c"), Refusal)


async def test_without_budget_who_sits_stays_known(scene: Scene) -> None:
    of_two_visits(scene, spares=True)
    await scene.play("tv", 0)
    await scene.admit("tv", "b")
    assert isinstance(await scene.admit("tv", "c"), Refusal)
    del scene.moody.asked[:]
    assert isinstance(await scene.admit("tv", "a"), Admitted)
    assert scene.moody.asked == []


def test_no_more_budgets_are_remembered_than_so_many() -> None:
    budgets = Budgets(POLICY)
    for number in range(USERS + 100):
        budgets.note_spent(f"u{number}", 60_000, 0.0)
    assert len(budgets) == USERS
    budgets.note_spent("later", 1, 61.0)
    assert len(budgets) == 1
