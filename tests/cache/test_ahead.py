"""The bound of leases that a worker gives from its cache before the store has answered."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from streamlimit.cache import AHEAD
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Purpose, Receipt, Refusal
from streamlimit.store.contract import resolved
from tests.cache.test_caching_store import Scene, X, spared, turn

NUMBERS = count()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "ahead.db")
    spared(made)
    yield made
    made.moody.store.close()


async def burst(scene: Scene, times: int) -> list[Any]:
    """So many requests, none of which is received yet."""
    del scene.moody.asked[:]
    return [await admit(scene) for _ in range(times)]


async def admit(scene: Scene) -> Any:
    ask = Ask("u", "tv", "a", lease_id=f"burst-{next(NUMBERS)}")
    return await resolved(scene.worker.admit(ask))


async def receive(scene: Scene, admitted: Any, segment: int) -> None:
    await resolved(scene.worker.confirm(Receipt(admitted.lease, f"seg-{segment}", segment)))
    await turn()


async def test_of_a_burst_after_an_end_elsewhere_only_so_many_are_let_out(scene: Scene) -> None:
    await scene.play("tv", 0)
    scene.moody.store.terminate("u", "tv", "operator", "moved house")
    answers = await burst(scene, 12)
    assert [isinstance(answer, Admitted) for answer in answers] == [True] * AHEAD + [False] * (12 - AHEAD)
    assert isinstance(answers[AHEAD], Refusal)


async def test_who_sits_is_asked_for_and_goes_on(scene: Scene) -> None:
    await scene.play("tv", 0)
    answers = await burst(scene, AHEAD + 2)
    assert all(isinstance(answer, Admitted) and answer.existing for answer in answers)
    assert scene.moody.asked == ["admit"] * 2


async def test_an_answer_of_the_store_makes_room_for_one_more(scene: Scene) -> None:
    await scene.play("tv", 0)
    first, second = await burst(scene, AHEAD)
    await receive(scene, first, 1)
    await receive(scene, first, 2)  # a lease of several segments counts once
    await burst(scene, 1)
    assert scene.moody.asked == []
    await burst(scene, 1)
    assert scene.moody.asked == ["admit"]
    await resolved(scene.worker.abandon(second.lease))
    await burst(scene, 1)
    assert scene.moody.asked == []


async def test_one_that_is_given_up_after_the_session_was_silent_makes_room_too(scene: Scene) -> None:
    await scene.play("tv", 0)
    leases = [answer.lease for answer in await burst(scene, AHEAD)]
    scene.time.pass_ms(4 * X)
    for lease in leases:
        await resolved(scene.worker.abandon(lease))
    await scene.play("tv", 1)
    await burst(scene, AHEAD)
    assert scene.moody.asked == []


async def test_a_look_at_a_playlist_is_no_lease(scene: Scene) -> None:
    await scene.play("tv", 0)
    del scene.moody.asked[:]
    for _ in range(9):
        assert isinstance(await scene.admit("tv", purpose=Purpose.CHECK), Admitted)
    await burst(scene, AHEAD)
    assert scene.moody.asked == []


async def test_in_an_outage_who_sits_goes_on_however_many_are_under_way(scene: Scene) -> None:
    await scene.play("tv", 0)
    scene.moody.away = True
    answers = await burst(scene, 9)
    assert all(isinstance(answer, Admitted) for answer in answers)
    assert [answer.degraded for answer in answers] == [False] * AHEAD + [True] * (9 - AHEAD)
    for number, answer in enumerate(answers):
        await receive(scene, answer, number)
    with pytest.raises(StoreUnavailable):
        await scene.admit("new")
    scene.moody.away = False
    await scene.worker.finish()
    scene.time.pass_ms(2 * X)
    await scene.play("tv", 9)
    await turn()
    await burst(scene, AHEAD)
    assert scene.moody.asked == []


async def test_a_session_that_is_given_a_grant_is_asked_for(scene: Scene) -> None:
    await scene.play("tv", 0)
    del scene.moody.asked[:]
    await scene.admit("tv", purpose=Purpose.SEAT)
    assert scene.moody.asked == ["admit"]
