"""A stop of the service under load: begun answers are finished, on the fast path, too."""

import json
import signal
import threading
from pathlib import Path

import pytest

from tests.e2e.clients import Client, connected, endpoint
from tests.service import Service, started, wait_until
from tests.streams import BIG, make_stream


def stop(service: Service) -> None:
    """Returns when it listens no more."""
    service.process.send_signal(signal.SIGTERM)

    def is_deaf() -> bool:
        try:
            Client(service.port).close()
        except OSError:
            return True
        return False

    wait_until(is_deaf, 10, "the end of listening")


def started_in(service: Service) -> list[str]:
    """Sessions whose first receipt is on record."""
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return [line["session_id"] for line in lines if line["event"] == "session.started"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_segment_under_way_is_finished_and_counts(tmp_path: Path, workers: int) -> None:
    make_stream(tmp_path / "streams", "film", 3)
    settings = {"streams": str(tmp_path / "streams"), "workers": workers, "drain_seconds": 15}
    with started(tmp_path, **settings) as service, connected(service.port, receive_buffer=65_536) as client:
        head = client.send(endpoint("ada", "tv", "film")).head()
        client.read(1_000)
        stop(service)
        assert client.read(BIG - 1_000) == BIG - 1_000
        assert head.status == 200
        assert service.process.wait(20) in (0, -signal.SIGTERM)
        assert started_in(service) == ["tv"]
        assert "Traceback" not in service.log()


def test_a_request_whose_body_is_still_coming_is_answered(tmp_path: Path) -> None:
    make_stream(tmp_path / "streams", "film", 3, 10_000)
    with started(tmp_path, streams=str(tmp_path / "streams")) as service, connected(service.port) as client:
        request = endpoint("ada", "tv", "film")
        client.send(request[:-10])
        wait_until(lambda: service.get("/healthz").status == 200, 5, "a turn of its loop")
        stop(service)
        answer = client.send(request[-10:]).answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert service.process.wait(20) in (0, -signal.SIGTERM)
        assert started_in(service) == ["tv"]


def test_under_load_every_request_is_answered_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    make_stream(tmp_path / "streams", "film", 500, 10_000)
    settings = {"streams": str(tmp_path / "streams"), "workers": 2, "segment_seconds": 60}
    halves: list[str] = []
    answered: list[int] = []

    def watch(user: str, port: int) -> None:
        count = 0
        with connected(port) as client:
            try:
                while client.send(endpoint(user, "tv", "film")).answer().status == 200:
                    count += 1
            except ConnectionError as error:
                if "before the body" in str(error):
                    halves.append(user)
        answered.append(count)

    with started(tmp_path, **settings) as service:
        viewers = [threading.Thread(target=watch, args=(f"u{n}", service.port)) for n in range(8)]
        for viewer in viewers:
            viewer.start()
        wait_until(lambda: len(started_in(service)) == 8, 10, "all of them to watch")
        stop(service)
        for viewer in viewers:
            viewer.join(20)
        assert service.process.wait(20) in (0, -signal.SIGTERM)
        assert "Traceback" not in service.log()
    assert halves == []
    assert len(answered) == 8
