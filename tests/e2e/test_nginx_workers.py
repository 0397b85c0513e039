"""Behind a real nginx with deploy/nginx-workers.conf: workers that restart, which one is asked, what the log keeps."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streamlimit.web.grants import Grants
from tests.e2e.clients import GRANT_KEY, connected, endpoint, play
from tests.e2e.test_compose import nginx
from tests.needs import needs
from tests.ports import free_port
from tests.service import Service, started, stop, temporary_folder
from tests.streams import make_stream

SEGMENTS = 3_000
ON_ONE_CONNECTION = 100
"""Segments; nginx ends one after 1,000 requests."""


class Front:
    """nginx and two workers on one file, each of which can be restarted."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self.folder, self.port = stack, folder, free_port()
        self.workers = [self._start(number, free_port()) for number in range(2)]
        stack.enter_context(nginx(folder, self.port, self.workers))

    def restart(self, number: int) -> None:
        worker = self.workers[number]
        stop(worker.process)
        self.workers[number] = self._start(number, worker.port)

    def answer(self, request: bytes) -> Any:
        with connected(self.port) as client:
            return client.send(request).answer()

    def worker_of(self, request: bytes) -> str:
        return str(self.answer(request).headers["x-worker"])

    def _start(self, number: int, port: int) -> Service:
        (home := self.folder / str(number)).mkdir(exist_ok=True)
        settings = {"streams": str(self.folder / "streams"), "store": f"sqlite:///{self.folder}/both.db"}
        more: dict[str, Any] = {"listen": f"127.0.0.1:{port}", "grant_keys": [GRANT_KEY]}
        return self._stack.enter_context(started(home, trusted_proxies=["127.0.0.1"], **settings, **more))


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    needs("nginx")
    with temporary_folder() as folder, ExitStack() as stack:
        make_stream(folder / "streams", "film", SEGMENTS, 1_000)
        yield Front(stack, folder)


def get(path: str, extra: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: t\r\n{extra}\r\n".encode()


def post(path: str, form: dict[str, Any], extra: str = "") -> bytes:
    body = json.dumps(form).encode()
    return f"POST {path} HTTP/1.1\r\nHost: t\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_no_request_fails_while_workers_are_restarted(front: Front) -> None:
    """Of those who fetch by URL, by POST, and who send heartbeats, over connections to nginx that stay."""
    statuses, over = Counter[tuple[str, int]](), threading.Event()

    def watch(number: int) -> None:
        user = f"restart-{number}"
        for first in range(0, SEGMENTS, ON_ONE_CONNECTION):
            if over.is_set():
                break
            with connected(front.port) as client:
                for segment in range(first, first + ON_ONE_CONNECTION):
                    requests = {
                        "play": play(user, "tv", "film", f"{segment}.ts"),
                        "POST": endpoint(user, "phone", "film", f"{segment}.ts", f"Streamlimit-User: {user}\r\n"),
                        "beat": post(f"/v1/users/{user}/sessions/pad/heartbeat", {"stream_id": "film"}),
                    }
                    for kind, request in requests.items():
                        statuses[kind, client.send(request).answer().status] += 1

    viewers = [threading.Thread(target=watch, args=(number,)) for number in range(4)]
    for viewer in viewers:
        viewer.start()
    front.restart(0)
    front.restart(1)
    over.set()
    for viewer in viewers:
        viewer.join()
    assert {status for _, status in statuses} == {200}
    assert all(statuses[kind, 200] > 20 for kind in ("play", "POST", "beat"))


def test_a_users_calls_go_to_one_worker_and_users_to_both(front: Front) -> None:
    asked: dict[str, set[str]] = {}
    for number in range(12):
        user = f"one-{number}@example.org"
        beat = post(f"/v1/users/{user}/sessions/tv/heartbeat", {"stream_id": "film"})
        calls = [beat, get(f"/v1/users/{user}/sessions"), get(f"/v1/users/{user.replace('@', '%40')}/sessions/tv")]
        name = f"Streamlimit-User: {user}\r\n"
        calls += [endpoint(user, "tv", "film", "0.ts", name), post("/v1/sessions", {}, name)]
        asked[user] = {front.worker_of(call) for call in calls}
    assert {len(workers) for workers in asked.values()} == {1}
    assert len(set[str]().union(*asked.values())) == 2


def test_a_grants_calls_go_to_one_worker_whatever_the_play(front: Front) -> None:
    workers = set[str]()
    for number in range(12):
        grant = Grants([GRANT_KEY], 86_400).sign(f"grant-{number}", "tv")
        paths = [f"/play/{grant}{play}/film/{number}.ts" for play in ("", "~1", "~2", "%7E3")]
        paths.append(f"/edge/cmcd/{grant}")
        asked = {front.worker_of(get(path)) for path in paths}
        assert len(asked) == 1
        workers |= asked
    assert len(workers) == 2


def test_posts_of_one_address_that_name_nobody_go_to_one_worker(front: Front) -> None:
    assert len({front.worker_of(endpoint(f"u-{number}", "tv", "film", "0.ts")) for number in range(12)}) == 1


def test_the_logs_keep_no_grant(front: Front) -> None:
    grant = Grants([GRANT_KEY], 86_400).sign("logged", "tv")
    paths = [f"/play/{grant}/film/0.ts", f"/play/{grant}~1/film/0.ts", f"/edge/cmcd/{grant}", f"/play/{grant}"]
    paths += [f"/edge/envoy/play/{grant}/film/0.ts", f"/edge/auth?grant={grant}", f"/v1/streams?grant={grant}"]
    for path in paths:
        front.answer(get(path, f"Referer: http://t{path}\r\n"))
    front.answer(get("/v1/streams"))
    logs = [(front.folder / name).read_text() for name in ("access.log", "error.log")]
    assert "GET /play/-/film/0.ts " in logs[0]
    assert "GET /edge/envoy/play/-/film/0.ts " in logs[0]
    assert not any(grant in log for log in logs)
