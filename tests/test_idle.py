"""An idle worker uses no CPU time."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.supervisors import multiprocess

from streamlimit import server as ours
from streamlimit.server import QuietServer
from tests.cache.test_caching_store import Scene


async def _nothing(*_: Any) -> None:
    """An application that is never asked."""


async def test_a_server_sleeps_until_a_signal_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "DATE_SECONDS", 3_600)
    server = multiprocess.Process(uvicorn.Config(_nothing, lifespan="off"), []).server
    assert isinstance(server, QuietServer)

    running = asyncio.create_task(server.main_loop())
    for _ in range(100):
        await asyncio.sleep(0)
    assert not running.done()
    assert [name for name, _ in server.server_state.default_headers] == [b"date"]
    server.handle_exit(signal.SIGTERM, None)
    await asyncio.wait_for(running, 10)


def test_a_signal_during_the_start_stops_the_server_too() -> None:
    server = QuietServer(uvicorn.Config(_nothing, lifespan="off"))
    server.handle_exit(signal.SIGTERM, None)
    asyncio.run(asyncio.wait_for(server.main_loop(), 10))


def test_forgetting_takes_no_turn_of_the_loop_where_nobody_is_remembered(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "idle.db")
    try:
        with pytest.raises(StopIteration):
            scene.worker.watch_once().send(None)
    finally:
        scene.moody.store.close()
