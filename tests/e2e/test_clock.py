"""Steps of the wall clock move no session: the store's clock is the machine's uptime (rule 5).

The service runs with a `sitecustomize` that adds an offset, read from a file, to `time.time` and `time.time_ns`.
"""

import os
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.e2e.clients import Client, connected, endpoint
from tests.service import started, wait_until
from tests.streams import make_stream

X, N = 0.7, 3
HOUR = 3_600
SLACK_SECONDS = 0.5
"""For a busy machine; an hour it is not."""

FAKE = """
import time
wall, wall_ns, file = time.time, time.time_ns, {file!r}
def offset():
    with open(file) as found:
        return int(found.read() or 0)
time.time = lambda: wall() + offset()
time.time_ns = lambda: wall_ns() + offset() * 1_000_000_000
"""


class WallClock:
    """The services' wall clock, from now on."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.step(0)
        (folder / "sitecustomize.py").write_text(FAKE.format(file=str(self._file)))

    def step(self, seconds: int) -> None:
        """To so many seconds from the truth, in one move."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self._file)


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """For all services that the test starts."""
    folder = tmp_path / "python"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    make_stream(tmp_path / "streams", "film", 100, 1_000)
    return WallClock(folder)


def settings(folder: Path) -> dict[str, object]:
    return {"streams": str(folder / "streams"), "segment_seconds": X, "missed_segments": N}


def fetch(observer: Client, user: str = "user") -> tuple[float, float, datetime]:
    """The next segment; between which two moments, and the last activity that it made."""
    before = time.monotonic()
    assert observer.send(endpoint(user, "tv", "film")).answer().status == 200
    found = observer.watching(user)["tv"]
    return before, time.monotonic(), datetime.fromisoformat(found["last_activity_at"])


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_step_of_an_hour_neither_moves_nor_expires_a_session_nor_keeps_it(
    tmp_path: Path, wall: WallClock, step: int
) -> None:
    with started(tmp_path, **settings(tmp_path)) as service, connected(service.port) as observer:
        assert is_stepped(observer, wall, step)
        wall.step(0)
        first = fetch(observer)
        for offset in (step, 0, -step):
            wall.step(offset)
            assert observer.watching("user")["tv"]["last_activity_at"] == shown(first[2])
            second = fetch(observer)
            assert_elapsed(first, second)
            first = second
        assert_expires_in_time(observer, first)
        assert fetch(observer)[2] > first[2]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_service_that_starts_anew_after_a_step_finds_its_sessions_as_they_were(
    tmp_path: Path, wall: WallClock, step: int
) -> None:
    long = settings(tmp_path) | {"segment_seconds": 60}
    with started(tmp_path, **long) as service, connected(service.port) as observer:
        first = fetch(observer)
    wall.step(step)
    with started(tmp_path, **long) as service, connected(service.port) as observer:
        assert observer.watching("user")["tv"]["last_activity_at"] == shown(first[2])
        assert_elapsed(first, fetch(observer))


def is_stepped(observer: Client, wall: WallClock, step: int) -> bool:
    """The service believes the fake: uvicorn dates its answers by it."""
    wall.step(step)

    def is_dated() -> bool:
        date = observer.send(endpoint("nobody", "tv", "none")).answer().headers["date"]
        return abs(parsedate_to_datetime(date).timestamp() - time.time() - step) < 60

    wait_until(is_dated, 5, "the date of the answers")
    return True


def shown(moment: datetime) -> str:
    """As the service writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def assert_elapsed(first: tuple[float, float, datetime], second: tuple[float, float, datetime]) -> None:
    """Between two last activities as much time went by as on our watch."""
    elapsed = (second[2] - first[2]).total_seconds()
    assert second[0] - first[1] - 0.01 <= elapsed <= second[1] - first[0] + 0.01


def assert_expires_in_time(observer: Client, last: tuple[float, float, datetime], user: str = "user") -> None:
    """Not before n·X after its last activity, and soon after."""
    wait_until(lambda: not observer.watching(user), N * X + 5, "the expiry")
    assert time.monotonic() - last[1] >= N * X - 0.05
    assert time.monotonic() - last[1] <= N * X + SLACK_SECONDS
