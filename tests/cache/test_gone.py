"""A session that lost its seat to another is refused at once by the worker that saw it, and soon by all (rule 12)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamlimit.model import Admitted, Ask, Event, Receipt, Refusal
from streamlimit.policy import OverLimit
from streamlimit.store.contract import resolved
from streamlimit.store.sqlite import SqliteStore
from tests.cache.test_caching_store import POLICY, Moody, N, Scene, X, spared, turn


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "gone.db")
    spared(made)
    yield made
    made.moody.store.close()


async def fill(scene: Scene) -> None:
    """Three sit, `a` the longest."""
    for session in ("a", "b", "c"):
        await scene.play(session, 0)
        scene.time.pass_ms(1)


def require_gone(answer: Any) -> None:
    assert isinstance(answer, Refusal), answer
    assert answer.code == "session-terminated"


@pytest.mark.parametrize("way", ["admit", "beat"])
@pytest.mark.parametrize("asks", ["admit", "beat"])
async def test_who_is_replaced_through_this_worker_is_refused_at_once(scene: Scene, way: str, asks: str) -> None:
    await fill(scene)
    assert isinstance(await getattr(scene, way)("d", replace="a"), Admitted)
    require_gone(await getattr(scene, asks)("a"))
    assert isinstance(await getattr(scene, asks)("b"), Admitted)


async def test_who_is_replaced_by_the_policy_is_refused_at_once(tmp_path: Path) -> None:
    policy = replace(POLICY, over_limit=OverLimit.REPLACE_OLDEST)
    scene = Scene(tmp_path / "oldest.db")
    scene.moody = Moody(SqliteStore(str(scene.path), policy, clock=lambda: scene.time.store_ms))
    spared(scene)
    await fill(scene)
    await scene.play("d", 0)
    require_gone(await scene.admit("a"))
    assert isinstance(await scene.admit("b"), Admitted)
    scene.moody.store.close()


async def test_a_receipt_that_is_under_way_does_not_bring_the_replaced_one_back(scene: Scene) -> None:
    await fill(scene)
    await scene.play("a", 1)  # known, so nobody waits for the store's answer
    await scene.admit("d", replace="a")
    await scene.play("b", 1)
    await turn()
    require_gone(await scene.admit("a"))


async def test_what_was_kept_of_the_replaced_one_is_dropped(scene: Scene) -> None:
    await fill(scene)
    old = (await scene.admit("a")).lease
    await scene.admit("d", replace="a")
    scene.moody.away = True
    await resolved(scene.worker.confirm(Receipt(old, "seg-1", 1)))
    await turn()
    assert len(scene.worker.kept) == 0
    with pytest.raises(Exception, match="away"):
        await scene.admit("a")


async def test_who_is_seen_to_expire_is_known_no_more(scene: Scene) -> None:
    """With `outage_seconds` it would sit on in an outage, though its seat is given away."""

    spared(scene, outage_seconds=100)
    await fill(scene)
    scene.time.pass_ms(N * X)
    assert scene.worker.cache.recall(Ask("u", "a", "a"), scene.time.worker_s) is not None
    await scene.admit("d")
    assert scene.worker.cache.sessions_of("u") == ["d"]


async def test_who_comes_back_after_its_own_expiry_is_known(scene: Scene) -> None:
    """The admission tells its old seat's end, too."""

    await scene.play("a", 0)
    scene.time.pass_ms(N * X)
    again = await scene.admit("a")
    assert [event.type for event in again.events] == ["session.expired"]
    await resolved(scene.worker.confirm(Receipt(again.lease, "seg-0", 0)))
    del scene.moody.asked[:]
    assert isinstance(await scene.admit("a"), Admitted)
    assert scene.moody.asked == [], "it is known"


async def test_who_comes_back_after_its_time_is_admitted_again_and_known(scene: Scene) -> None:
    await fill(scene)
    await scene.admit("d", replace="a")
    scene.time.pass_ms(N * X)
    again = await scene.admit("a")
    await resolved(scene.worker.confirm(Receipt(again.lease, "seg-0", 0)))
    del scene.moody.asked[:]
    assert isinstance(await scene.admit("a"), Admitted)
    assert scene.moody.asked == []


async def test_a_receipts_answer_tells_of_others_as_well(scene: Scene) -> None:
    """It seats a session again that expired, and takes out those that expired beside it."""

    spared(scene, outage_seconds=100)
    await fill(scene)
    old = (await scene.admit("c")).lease
    scene.time.pass_ms(N * X)
    await resolved(scene.worker.confirm(Receipt(old, "seg-1", 1)))
    await turn()
    assert scene.worker.cache.sessions_of("u") == ["c"]


async def test_beats_that_do_not_wait_for_each_other_do_not_outrun_a_termination(scene: Scene) -> None:
    await scene.beat("tv")
    scene.moody.store.terminate("u", "tv", "operator", "moved house")
    coming = [scene.worker.beat(Ask("u", "tv", "a")) for _ in range(5)]
    answers = [await resolved(answer) for answer in coming]
    assert isinstance(answers[0], Admitted), "this worker does not know yet"
    for answer in answers[1:]:
        require_gone(answer)


async def test_a_report_that_fails_is_not_waited_for_for_ever(scene: Scene) -> None:
    await scene.beat("tv")
    scene.moody.away = True
    await scene.beat("tv")
    await turn()
    scene.moody.away = False
    scene.time.pass_ms(2_000)
    await scene.worker.watch_once()
    await scene.beat("tv")
    await turn()
    assert not scene.worker.is_away
    del scene.moody.asked[:]
    for _ in range(3):
        await scene.beat("tv")
        await turn()
    assert scene.moody.asked == ["confirm"] * 3


async def test_events_are_still_told_once(scene: Scene) -> None:
    await fill(scene)
    admitted = await scene.admit("d", replace="a")
    told: list[Event] = [*scene.events, *admitted.events]
    assert [event.type for event in told if event.type == "session.terminated"] == ["session.terminated"]
