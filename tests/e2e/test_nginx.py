"""Behind a real nginx with deploy/nginx.conf: what docs/how-to/nginx-in-front.md says about receipts and logs."""

import http.client
import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.clients import GRANT_KEY, Client, connected, endpoint, play
from tests.needs import needs
from tests.ports import free_port
from tests.service import Service, started, temporary_folder, wait_until
from tests.streams import BIG, make_stream

EXAMPLE = (Path(__file__).parents[2] / "deploy/nginx.conf").read_text()
SMALL = 20_000
X = 0.5


class Front:
    """nginx with the example, and the service behind it."""

    def __init__(self, service: Service, port: int, log: Path) -> None:
        self.service, self.port, self._log = service, port, log

    def log(self) -> str:
        return self._log.read_text()

    def state_of(self, user: str, session: str) -> str | None:
        """None: it holds no seat."""
        found = {s["session_id"]: s["state"] for s in self.service.watching(user)["sessions"]}
        return found.get(session)


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    needs("nginx")
    with temporary_folder() as folder:
        port = free_port()
        make_stream(folder / "streams", "film", 20)
        make_stream(folder / "streams", "short", 20, SMALL)
        settings = {"streams": str(folder / "streams"), "segment_seconds": X, "start_seconds": 30, "max_returns": 0}
        more = {"trusted_proxies": ["127.0.0.1"], "grant_keys": [GRANT_KEY]}
        with started(folder, **settings, **more) as service, _nginx(folder, port, service.port):
            yield Front(service, port, folder / "streamlimit.log")


@contextmanager
def _nginx(folder: Path, port: int, behind: int) -> Iterator[None]:
    """The example, but for ports, paths, and that it stays in the foreground."""
    text = EXAMPLE.replace("/var/log/nginx", str(folder)).replace("listen 80 ", f"listen 127.0.0.1:{port} ")
    text = text.replace("server 127.0.0.1:8080;", f"server 127.0.0.1:{behind};").replace("auto;", "1;")
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        text = text.replace("http {\n", f"http {{\n    {kind}_temp_path {folder}/{kind};\n", 1)
    (folder / "nginx.conf").write_text(f"daemon off;\npid {folder}/nginx.pid;\nuser root;\n{text}")
    command = ["nginx", "-e", f"{folder}/nginx-error.log", "-c", f"{folder}/nginx.conf"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(port), 10, "nginx")
            yield
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        with connected(port) as client:
            return client.send(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n").answer().status == 200
    except OSError:
        return False


def test_segments_come_through_and_count(front: Front) -> None:
    with connected(front.port) as client:
        for number in range(3):
            assert client.send(endpoint("ada", "tv", "film")).answer().sequence == number
        assert front.state_of("ada", "tv") == "active"


def test_a_viewer_who_hangs_up_within_a_big_segment_has_not_received_it(front: Front) -> None:
    client = Client(front.port, receive_buffer=32_768)
    head = client.send(endpoint("bea", "tv", "film")).head()
    assert client.read(100_000) == 100_000
    assert front.state_of("bea", "tv") == "starting"
    client.reset()
    assert head.length == BIG
    wait_until(lambda: front.state_of("bea", "tv") is None, 10, "the reservation to be given back")


def test_a_viewer_who_stalls_within_a_big_segment_has_not_received_it(front: Front) -> None:
    with connected(front.port, receive_buffer=32_768) as client:
        client.send(endpoint("cleo", "tv", "film")).head()
        client.read(100_000)
        wait_until(lambda: front.state_of("cleo", "tv") is None, 10, "the lease to be given up")


def test_a_segment_that_fits_nginx_counts_as_received_though_the_viewer_reads_nothing(front: Front) -> None:
    """As the how-to admits: that is as far as TCP can tell from here."""
    with connected(front.port, receive_buffer=4_096) as client:
        client.send(endpoint("dan", "tv", "short"))
        wait_until(lambda: front.state_of("dan", "tv") in ("active", "idle"), 10, "the receipt")


def test_the_seat_of_who_vanished_is_free_after_n_x(front: Front) -> None:
    Client(front.port).send(endpoint("eve", "tv", "short")).reset()
    began = time.monotonic()
    wait_until(lambda: front.state_of("eve", "tv") is None, 10, "n·X of silence")
    assert time.monotonic() - began < 3 * X + 2


def test_nginx_logs_no_grant_and_the_id_is_of_both_logs(front: Front) -> None:
    with connected(front.port) as client:
        request = play("fay", "tv", "film", "0.ts?x=secret-of-fay")
        grant = request.split(b"/")[2].decode()
        assert client.send(request).answer().status == 200
        assert client.send(play("fay", "tv", "film", "nothing.ts")).answer().status == 404
        wait_until(lambda: "/play/-/film/nothing.ts" in front.log(), 5, "the line")
    assert "/play/-/film/0.ts " in front.log()
    assert grant not in front.log()
    assert "secret-of-fay" not in front.log()
    told = re.search(r"^\S+ (\w{32}) 404 GET /play/-/film/nothing.ts", front.log(), re.MULTILINE)
    assert told is not None
    assert f'"request_id":"{told[1]}"' in front.service.log()


def test_over_connections_that_nginx_keeps_each_request_gets_its_own_answer(front: Front) -> None:
    """What was refused, broken off or without a body before it on the same connection leaves nothing behind."""
    with ThreadPoolExecutor(8) as viewers:
        wrong = [each for found in viewers.map(lambda n: _mixed_up(front.port, f"kay{n}"), range(8)) for each in found]
    assert wrong == []


def _mixed_up(port: int, user: str) -> list[str]:
    """Answers to requests of all kinds, one after the other, that are not what was asked for."""
    line, wrong = http.client.HTTPConnection("127.0.0.1", port, timeout=30), []
    beat, form = f"/v1/users/{user}/sessions/tv/heartbeat", {"user_id": user, "session_id": "tv", "stream_id": "short"}
    for number in range(6):
        name = f"{number}.ts"
        for method, path, body, status, sign in (
            ("POST", beat, json.dumps({"stream_id": "short"}).encode(), 200, f'"user_id":"{user}"'.encode()),
            ("POST", beat, f'{{"stream_id":"short","{user}-{number}":1}}'.encode(), 400, f"{user}-{number}".encode()),
            ("HEAD", "/healthz", None, 200, b""),
            ("POST", "/v1/segments", json.dumps(form | {"segment": name}).encode(), 200, name.encode()),
            ("POST", beat, iter([b'{"stream_id":', b'"short"}']), 200, f'"user_id":"{user}"'.encode()),
            ("POST", "/v1/segments", b"x" * 70_000, 413, b"413"),
        ):
            line.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
            answer = line.getresponse()
            told = answer.read()[:1_000] + (answer.getheader("Streamlimit-Segment") or "").encode()
            if answer.status != status or sign not in told:
                wrong.append(f"{method} {path} {sign!r}: {answer.status} {told[:200]!r}")
    line.close()
    return wrong
