"""deploy/compose.yml without containers: its words to the shell, its settings, its nginx before two real workers."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamlimit.settings import load_settings
from tests import servers
from tests.e2e.clients import GRANT_KEY, connected, endpoint, play
from tests.needs import needs
from tests.ports import free_port
from tests.service import OPERATOR_KEY, Service, started, stop, wait_until
from tests.streams import make_stream

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yml").read_text())
STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
case "$*" in
  *ping) test "$(grep -c 'node3 ping' "$LOG")" -ge 3 || case "$*" in *node3*) exit 1;; esac;;
  *"cluster info") echo "cluster_state:$STATE";;
  "hosts node"*) echo "10.213.0.1${2#node} $2";;
esac
"""


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A folder of programs that only write down that they were called; node3 answers at the third time."""
    for name in ("valkey-cli", "getent", "sleep"):
        stub = tmp_path / name
        stub.write_text(STUB)
        stub.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(("state", "created"), [("fail", 1), ("ok", 0)])
def test_the_cluster_is_made_once_when_all_nodes_are_there(shell: Path, state: str, created: int) -> None:
    (_, _, script) = COMPOSE["services"]["cluster"]["command"]
    environment = {"PATH": f"{shell}:{os.environ['PATH']}", "LOG": str(shell / "log"), "STATE": state}
    subprocess.run(["sh", "-c", script.replace("$$", "$")], check=True, env=environment, timeout=20)
    calls = (shell / "log").read_text().splitlines()
    assert calls.count("sleep 1") == 2
    creations = [call for call in calls if "--cluster create" in call]
    assert len(creations) == created
    for call in creations:
        assert call.count(":6379") == 6
        assert call.startswith("valkey-cli --cluster create 10.213.0.11:6379 10.213.0.12:6379 ")
        assert call.endswith("--cluster-replicas 1 --cluster-yes")


def test_the_workers_settings_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in COMPOSE["x-worker"]["environment"].items():
        monkeypatch.setenv(name, value.replace("${OPERATOR_KEY:?set OPERATOR_KEY to a long random text}", "k" * 32))
    monkeypatch.setenv("STREAMLIMIT_STREAMS", str(tmp_path))
    settings = load_settings()
    assert settings.store.startswith("valkey+cluster://node1:6379,")
    subnet = COMPOSE["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert settings.trusted_proxies == [subnet]


@contextmanager
def nginx(folder: Path, port: int, workers: list[Service]) -> Iterator[None]:
    """nginx-workers.conf, but for names and ports, and that its answers tell which worker it was."""
    text = (DEPLOY / "nginx-workers.conf").read_text().replace("listen 80 ", f"listen 127.0.0.1:{port} ")
    text = text.replace("/var/log/nginx", str(folder))
    text = text.replace("    location / {", "    add_header X-Worker $upstream_addr always;\n    location / {")
    for number, worker in enumerate(workers, start=1):
        text = text.replace(f"worker{number}:8080", f"127.0.0.1:{worker.port}")
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    head = f"daemon off;\npid {folder}/nginx.pid;\nuser root;\nevents {{}}\n"
    config.write_text(f"{head}http {{\naccess_log off;\n{paths}{text}}}\n")
    process = subprocess.Popen(["nginx", "-e", f"{folder}/nginx-error.log", "-c", str(config)])
    try:
        wait_until(lambda: is_there(port), 10, "nginx")
        yield
    finally:
        process.terminate()
        process.wait(10)


def is_there(port: int) -> bool:
    try:
        with connected(port):
            return True
    except OSError:
        return False


def test_viewers_behind_its_nginx_keep_to_one_worker_and_go_on_when_that_dies(tmp_path: Path) -> None:
    needs("nginx")
    make_stream(tmp_path / "streams", "film", 20, 1_000)
    with ExitStack() as stack:
        server = stack.enter_context(servers.single("valkey"))
        common: dict[str, Any] = {"streams": str(tmp_path / "streams"), "store": server.url, "grant_keys": [GRANT_KEY]}
        workers = []
        for name in ("one", "two"):
            (home := tmp_path / name).mkdir()
            workers.append(stack.enter_context(started(home, trusted_proxies=["127.0.0.1"], **common)))
        stack.enter_context(nginx(tmp_path, port := free_port(), workers))
        users = [f"user-{number}" for number in range(12)]
        grants = {user: play(user, "tv", "film", "{}") for user in users}
        with connected(port) as client:
            for number in range(3):
                for user in users:
                    assert client.send(grants[user].replace(b"{}", b"%d.ts" % number)).answer().status == 200
        known = [known_to(worker) for worker in workers]
        assert sum(known) == len(users), "a session is known to the one worker that it keeps to"
        assert all(known)
        stop(workers[0].process)
        with connected(port) as client:
            for user in users:
                assert client.send(grants[user].replace(b"{}", b"3.ts")).answer().status == 200
                assert client.send(endpoint(user, "tv", "film", "4.ts")).answer().status == 200
        assert workers[1].watching(users[0])["live_sessions"] == 1


def known_to(worker: Service) -> int:
    text = worker.get("/metrics", key=OPERATOR_KEY).body.decode()
    return next(int(float(line.split()[1])) for line in text.splitlines() if line.startswith("streamlimit_known "))
