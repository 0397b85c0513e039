"""Ends that a failover lost: the worker that sent them sends them again when the store has recovered."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streamlimit.cache import CALM_SECONDS, PROBE_SECONDS
from streamlimit.model import Admitted, Purpose
from streamlimit.store.contract import resolved
from tests.cache.test_caching_store import N, Scene, X


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "forgotten.db")
    yield made
    made.moody.store.close()


async def fail_over(scene: Scene, before: list[tuple[str, int, bytes]]) -> None:
    """The store is away, and then what it was *before*."""
    scene.moody.away = True
    await scene.worker.watch_once()
    with pytest.raises(Exception, match="away"):
        await scene.admit("nobody")
    db = sqlite3.connect(scene.path, isolation_level=None)
    for table in ("ledgers", "grants"):
        db.execute(f"DELETE FROM {table}")
    db.executemany("INSERT INTO ledgers (user_id, due_at_ms, body) VALUES (?, ?, ?)", before)
    db.close()
    scene.moody.away = False


def rows(scene: Scene) -> list[tuple[str, int, bytes]]:
    with closing(sqlite3.connect(scene.path)) as db:
        return list(db.execute("SELECT user_id, due_at_ms, body FROM ledgers"))


async def come_back(scene: Scene) -> None:
    scene.time.pass_ms(int(CALM_SECONDS * 1_000))
    for _ in range(3):
        await scene.worker.watch_once()
    assert not scene.worker.is_away


@pytest.mark.parametrize("leave", ["end", "terminate", "replace"])
@pytest.mark.parametrize("asks", [False, True], ids=["silent", "goes-on"])
async def test_what_was_forgotten_happens_again_and_nothing_expires(scene: Scene, leave: str, asks: bool) -> None:
    for session in ("tv", "pad", "box"):
        await scene.admit(session, purpose=Purpose.SEAT)
        await scene.play(session, 0)
    before = rows(scene)
    if leave == "end":
        await resolved(scene.worker.end("u", "tv"))
    elif leave == "terminate":
        await resolved(scene.worker.terminate("u", "tv", "operator", "moved house"))
    else:
        assert isinstance(await scene.admit("new", replace="tv"), Admitted)
    await fail_over(scene, before)
    if asks:
        scene.time.pass_ms(int(PROBE_SECONDS * 1_000))
        await scene.admit("tv")
    await come_back(scene)
    assert await scene.on_record("tv") is None
    assert await scene.on_record("pad") is not None
    scene.time.pass_ms(N * X)
    swept = await resolved(scene.moody.store.expire(100))
    assert "tv" not in [event.session.session_id for event in swept.events]


async def test_a_store_that_forgot_nothing_is_told_and_does_nothing(scene: Scene) -> None:
    await scene.play("tv", 0)
    await resolved(scene.worker.end("u", "tv"))
    scene.time.pass_ms(1)
    await scene.play("tv", 1)
    await scene.play("pad", 1)
    await resolved(scene.worker.end("u", "pad"))
    await fail_over(scene, rows(scene))
    del scene.moody.asked[:]
    await come_back(scene)
    for _ in range(3):
        await scene.worker.watch_once()
    assert scene.moody.asked.count("lose_again") == 1, "once, and not of who is back"
    assert await scene.on_record("tv") is not None


async def test_one_that_cannot_be_told_is_told_later(scene: Scene) -> None:
    await scene.play("tv", 0)
    before = rows(scene)
    await resolved(scene.worker.end("u", "tv"))
    await fail_over(scene, before)
    scene.moody.fails.add("lose_again")
    await scene.worker.watch_once()
    scene.time.pass_ms(int(CALM_SECONDS * 1_000))
    for _ in range(2):
        await scene.worker.watch_once()
    assert await scene.on_record("tv") is not None
    scene.moody.fails.clear()
    await come_back(scene)
    assert await scene.on_record("tv") is None
    await asyncio.sleep(0)


@pytest.mark.parametrize("which", ["tv", None], ids=["one", "all"])
async def test_a_termination_that_was_forgiven_does_not_happen_again(scene: Scene, which: str | None) -> None:
    await scene.play("tv", 0)
    await scene.play("pad", 0)
    before = rows(scene)
    await resolved(scene.worker.terminate("u", "tv", "operator", "by mistake"))
    await resolved(scene.worker.end("u", "pad"))
    await resolved(scene.worker.forgive("u", which))
    await fail_over(scene, before)
    await come_back(scene)
    assert await scene.on_record("tv") is not None
    assert await scene.on_record("pad") is None, "the viewer's own end does"


async def test_what_a_worker_knows_of_a_user_who_is_forgotten_seats_them_no_more(scene: Scene) -> None:
    await scene.play("tv", 0)
    await resolved(scene.worker.forget("u"))
    assert scene.worker.cache.sessions_of("u") == []
    assert await scene.on_record("tv") is None
    await scene.play("tv", 1)
    assert await scene.on_record("tv") is not None
