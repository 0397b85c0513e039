"""Several workers: one that cannot start ends no service that serves, and a service that never served says so."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.config import STARTUP_FAILURE

from streamlimit import server
from streamlimit.errors import StreamlimitError
from streamlimit.settings import Settings
from streamlimit.web.metrics import FOLDER_VARIABLE


class FakeProcess:
    """One that is alive and ready, or ended with a code."""

    started = 0

    def __init__(self, *_: Any, code: int | None = None) -> None:
        self.exitcode, self.pid, self.child_conn = code, 7, SimpleNamespace(close=lambda: None)

    def is_alive(self, timeout: float) -> bool:
        return self.exitcode is None

    def is_ready(self, timeout: float) -> bool:
        return self.exitcode is None

    def kill(self) -> None: ...
    def join(self) -> None: ...

    def start(self) -> None:
        type(self).started += 1


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(FakeProcess, "started", 0)
    monkeypatch.setattr(server, "QuietProcess", FakeProcess)
    monkeypatch.setattr("uvicorn.supervisors.multiprocess.signal.signal", lambda *_: None)
    return server.Workers(SimpleNamespace(workers=2), sockets=[])  # type: ignore[arg-type]  # as much as is asked


@pytest.mark.parametrize("code", [STARTUP_FAILURE, -9, 0, 1])
def test_a_worker_that_ends_however_is_replaced_where_others_serve(workers: Any, code: int) -> None:
    workers.processes = [FakeProcess(), FakeProcess()]
    workers.keep_subprocess_alive()
    workers.processes[1] = FakeProcess(code=code)
    workers.keep_subprocess_alive()
    assert (FakeProcess.started, workers.should_exit.is_set(), workers.none_could_start) == (1, False, False)
    assert all(process.exitcode is None for process in workers.processes)


def test_what_a_dead_worker_counted_stays_and_what_it_was_is_told_no_more(
    workers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    workers.processes = [FakeProcess(), FakeProcess()]
    workers.keep_subprocess_alive()
    workers.processes[1] = FakeProcess(code=-9)
    gone = workers.processes[1].pid
    for kind in ("counter", "gauge_livesum", "gauge_livemax"):
        (tmp_path / f"{kind}_{gone}.db").touch()
    workers.keep_subprocess_alive()
    assert [file.name for file in tmp_path.iterdir()] == [f"counter_{gone}.db"]


def test_where_none_ever_could_start_no_other_is_tried(workers: Any) -> None:
    workers.processes = [FakeProcess(code=STARTUP_FAILURE), FakeProcess(code=STARTUP_FAILURE)]
    workers.keep_subprocess_alive()
    assert (FakeProcess.started, workers.should_exit.is_set(), workers.none_could_start) == (0, True, True)


@pytest.mark.parametrize("count", [1, 2])
def test_where_none_could_start_the_service_ends_as_one_that_failed(
    count: int, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "Workers", lambda config, sockets: workers)
    monkeypatch.setattr(workers, "run", lambda: setattr(workers, "none_could_start", True))
    monkeypatch.setattr(server.QuietServer, "run", lambda self, sockets: None)
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    with server.bind("127.0.0.1:0") as listening, pytest.raises(StreamlimitError, match="no worker could start"):
        server.run(Settings(workers=count), listening, lambda address: None)
