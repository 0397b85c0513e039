"""SQLite's file and its disk fail, and processes die: what viewers and operators notice of it, over HTTP."""

import json
import os
import signal
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests import launcher
from tests.e2e.killing import workers_of
from tests.service import OPERATOR_KEY, Service, started, wait_until
from tests.tmpfs import filled, mounted

USERS = 6


def sit(service: Service, users: int = USERS) -> None:
    for number in range(users):
        assert service.segment(f"user-{number}", "tv", "orchard").status == 200


def ask_all(service: Service, users: int = USERS) -> set[int]:
    """Statuses of a heartbeat and a segment of each who sits, each on a connection of its own: any worker's."""
    stream = {"stream_id": "orchard"}
    beats = {service.post(f"/v1/users/user-{n}/sessions/tv/heartbeat", stream).status for n in range(users)}
    return beats | {service.segment(f"user-{n}", "tv", "orchard").status for n in range(users)}


def lines(service: Service, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


@contextmanager
def held(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process has the write lock."""
    holder = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    with closing(holder):
        holder.execute("BEGIN IMMEDIATE")
        yield holder


def test_a_full_disk_and_a_killed_worker_end_nothing_and_who_sits_goes_on_at_every_worker(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        path = disk / "streamlimit.db"
        with started(tmp_path, store=f"sqlite:///{path}", workers=2) as service:
            sit(service)
            with filled(disk):
                new = (f"new-{number}" for number in count())  # the last page of the log may have room for one of them
                wait_until(lambda: service.segment(next(new), "tv", "orchard").status == 503, 10, "the full disk")
                os.kill(min(workers_of(service)), signal.SIGKILL)
                wait_until(lambda: " died " in service.log(), 10, "the death to be noticed")
                wait_until(lambda: len(workers_of(service)) == 2, 20, "another worker")
                for _ in range(3):
                    assert ask_all(service) <= {200, 204}
                assert service.get("/healthz").status == 200
                assert service.process.poll() is None
            assert "disk" in lines(service, "store_away")[0]["cause"]
            wait_until(lambda: service.segment("new", "tv", "orchard").status == 200, 20, "room on the disk")
            wait_until(lambda: service.get("/readyz").status == 200, 10, "all of it")
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(20) == 0


def test_a_start_on_a_full_disk_may_be_tried_again_and_one_on_a_wrong_path_may_not(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk, filled(disk):
        assert start_in_vain(tmp_path, f"{disk}/streamlimit.db") == 1, "systemd tries again"
    assert start_in_vain(tmp_path, f"{tmp_path}/no/folder.db") == 2, "a wrong setting does not get better by that"


def start_in_vain(folder: Path, path: str) -> int:
    """The exit code of a service whose store is at *path*."""
    code, _, err = launcher.run(["serve", "--listen", "127.0.0.1:0", "--store", f"sqlite:///{path}"], folder)
    assert "sqlite: cannot open" in err
    return code


def test_while_another_process_holds_the_file_who_sits_goes_on_at_every_worker_and_nobody_stands_still(
    tmp_path: Path,
) -> None:
    path = tmp_path / "streamlimit.db"
    with started(tmp_path, workers=2) as service:
        sit(service)
        with held(path):
            wait_until(lambda: service.segment("new", "tv", "orchard").status == 503, 10, "the lock to be noticed")
            for _ in range(3):
                assert ask_all(service) <= {200, 204}
            assert service.get("/readyz").status == 503
            began = time.monotonic()
            beaten = service.post("/v1/users/user-0/sessions/tv/heartbeat", {"stream_id": "orchard"})
            assert beaten.headers["streamlimit-degraded"] == "true"
            gone = service.call("DELETE", "/v1/users/user-1/sessions/tv", key=OPERATOR_KEY)
            assert (gone.status, gone.headers["retry-after"]) == (503, "2")
            assert service.post("/v1/expirations", key=OPERATOR_KEY).status == 503
            assert time.monotonic() - began < 5
            away = lines(service, "store_away")[0]
            assert (away["cause"], away["problem"]) == (
                "another process holds the file",
                "sqlite: database is locked",
            )
        wait_until(lambda: service.segment("new", "tv", "orchard").status == 200, 10, "the file to be let go")
        wait_until(lambda: len(lines(service, "store_back")) == len(lines(service, "store_away")), 10, "the end of it")


def test_a_short_turn_of_another_process_is_no_outage(tmp_path: Path) -> None:
    path = tmp_path / "streamlimit.db"
    with started(tmp_path) as service:
        with held(path) as holder:
            letting_go = threading.Timer(0.1, holder.rollback)  # a fifth of what is waited for
            letting_go.start()
            assert service.segment("new", "tv", "orchard").status == 200
            letting_go.join()
        assert lines(service, "store_away") == []


def test_workers_stop_when_their_parent_is_killed(tmp_path: Path) -> None:
    with started(tmp_path, workers=2) as service:
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        try:
            wait_until(lambda: is_free(service.port), 20, "the port")
        except AssertionError:
            os.killpg(service.process.pid, signal.SIGKILL)  # they are nobody's any more
            raise
        assert len(lines(service, "parent_gone")) == 2


def is_free(port: int) -> bool:
    """Does nobody listen there?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_file_and_those_beside_it_are_nobody_elses_also_where_they_were_readable(tmp_path: Path) -> None:
    path = tmp_path / "streamlimit.db"
    for _ in range(2):
        with started(tmp_path) as service:
            sit(service, 1)
            files = [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
            assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
        path.chmod(0o644)


def test_readiness_tries_a_write_once_a_second_however_many_ask(tmp_path: Path) -> None:
    with started(tmp_path) as service, closing(sqlite3.connect(tmp_path / "streamlimit.db")) as looker:
        versions = []
        began = time.monotonic()
        for _ in range(50):
            assert service.get("/readyz").status == 200
            versions.append(looker.execute("PRAGMA data_version").fetchone()[0])
        seconds = time.monotonic() - began
        assert len(set(versions)) <= 2 + 2 * seconds
