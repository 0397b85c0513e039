"""Answers from a worker's cache in an outage are marked and counted (rule 11)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Receipt
from streamlimit.store.contract import resolved
from tests.cache.test_caching_store import N, Scene, X, spared, turn


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "marked.db")
    spared(made)
    yield made
    made.moody.store.close()


async def known(scene: Scene, *users: str) -> None:
    """Each plays, and the worker knows."""
    for user in users:
        await scene.play("tv", 0, user=user)
        await scene.play("tv", 1, user=user)
        await turn()


async def is_marked(scene: Scene, number: int, user: str, **more: Any) -> bool:
    """Plays one segment: is its answer marked?"""
    admitted = await scene.admit("tv", user=user, **more)
    await resolved(scene.worker.confirm(Receipt(admitted.lease, f"seg-{number}", number)))
    return bool(admitted.degraded)


@pytest.mark.parametrize("more", [{}, {"stream": "a", "sequence": 7}], ids=["plain", "named"])
async def test_the_first_segment_of_each_session_is_marked_and_counted(scene: Scene, more: dict[str, Any]) -> None:
    await known(scene, "u", "v")
    scene.moody.away = True
    scene.worker.failed()  # the connection ended, and could not be opened again
    for number, user in enumerate("uvvu"):
        scene.time.pass_ms(10)
        assert await is_marked(scene, 2, user, **more)
        assert scene.worker.counts.degraded == number + 1


async def test_refuse_all_refuses_the_first_one_too(scene: Scene) -> None:
    spared(scene, on_outage="refuse-all")
    await known(scene, "u")
    scene.moody.away = True
    scene.worker.failed()
    scene.time.pass_ms(10)
    for ask in (scene.admit, scene.beat):
        with pytest.raises(StoreUnavailable):
            await ask("tv")
    assert scene.worker.counts.degraded == 0


async def test_where_the_users_part_of_the_store_answers_nothing_is_marked_and_known_ones_do_not_wait(
    scene: Scene,
) -> None:
    await known(scene, "u", "v")
    scene.moody.away_for = {"u"}
    scene.worker.failed()
    for number in range(2, 6):
        scene.time.pass_ms(X // 2)
        del scene.moody.asked[:]
        assert not await is_marked(scene, number, "v")
        assert scene.moody.asked == (["admit", "confirm"] if number == 2 else ["confirm"])
        await turn()
        assert await is_marked(scene, number, "u")
        await turn()
    assert scene.worker.is_away


async def test_a_part_that_goes_away_during_an_outage_is_noticed(scene: Scene) -> None:
    await known(scene, "u", "v")
    scene.moody.away_for = {"u"}
    scene.worker.failed()
    for number in (2, 3):
        scene.time.pass_ms(X // 2)
        await scene.play("tv", number, user="v")
        await scene.play("tv", number, user="u")  # so the outage goes on
        await turn()
    scene.moody.away_for = {"u", "v"}
    await scene.play("tv", 4, user="v")  # this one finds out
    await turn()
    assert (await scene.admit("tv", user="v")).degraded


async def test_a_failure_that_nobody_asked_for_is_an_outage_until_the_store_answers_again(scene: Scene) -> None:
    await known(scene, "u")
    scene.worker.failed()
    assert (scene.worker.is_away, scene.changes) == (True, [True])
    scene.time.pass_ms(N * X // 2)
    await scene.worker.watch_once()
    assert (scene.worker.is_away, scene.changes) == (False, [True, False])
    assert not (await scene.admit("tv")).degraded
