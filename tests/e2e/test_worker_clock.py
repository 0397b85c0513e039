"""A step of a worker's clock changes nothing on Valkey: the server's clock decides (rule 5)."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import servers
from tests.e2e.clients import connected, endpoint
from tests.e2e.test_clock import WallClock, assert_elapsed, assert_expires_in_time, fetch, is_stepped, settings, shown
from tests.service import started
from tests.streams import make_stream

STEP = 60


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with servers.single("valkey") as server:
        yield server.url


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """Of the first worker; the second one is started without."""
    (folder := tmp_path / "python").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    make_stream(tmp_path / "streams", "film", 200, 1_000)
    return WallClock(folder)


@pytest.mark.parametrize("step", [STEP, -STEP])
def test_a_step_of_one_workers_clock_neither_moves_nor_expires_nor_keeps_a_session(
    tmp_path: Path, store: str, wall: WallClock, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    user = f"user-{step}"
    with ExitStack() as stack:
        opened = []
        for name in ("stepped", "true"):
            (home := tmp_path / name).mkdir()
            opened.append(stack.enter_context(started(home, store=store, **settings(tmp_path))))
            monkeypatch.delenv("PYTHONPATH")
            monkeypatch.setenv("PYTHONPATH", "")
        stepped, true = (stack.enter_context(connected(service.port)) for service in opened)
        assert is_stepped(stepped, wall, step)
        wall.step(0)
        first = fetch(stepped, user)
        for offset in (step, 0, -step):
            wall.step(offset)
            for side in (stepped, true):
                assert side.watching(user)["tv"]["last_activity_at"] == shown(first[2])
            second = fetch(stepped, user)
            assert_elapsed(first, second)
            assert time.time() - STEP / 2 < second[2].timestamp() < time.time() + STEP / 2
            first = second
        for session in ("phone", "pad"):
            assert true.send(endpoint(user, session, "film")).answer().status == 200
        assert stepped.send(endpoint(user, "fourth", "film")).answer().status == 409
        assert_expires_in_time(true, fetch(stepped, user), user)
        assert not stepped.watching(user)
