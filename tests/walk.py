"""`make walk`: a newcomer's first steps with streamlimit, by real commands; prints the time and needs of each.

    python -m tests.walk [STEP …]

Each step begins with nothing, in a folder of its own, and fails where what it promises does not happen.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey

from tests.edge.programs import nginx
from tests.ports import free_port
from tests.service import OPERATOR_KEY, SAMPLES, Service, started, wait_until

DOCS = Path(__file__).parent.parent / "docs"
SECRET = "whsec_c3RyZWFtbGltaXQtZG9jdW1lbnRhdGlvbi1zZWNyZXQ="
TOKEN_SECRET = b"a secret of the walk, thirty-two bytes and more"


def example(page: str, kind: str, number: int = 0) -> str:
    """A block of code of a page."""
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)[number]


def command(folder: Path, *arguments: str, **settings: str) -> str:
    """What `streamlimit …` prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "streamlimit.cli", *arguments],
        cwd=folder, env=os.environ | settings, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, f"streamlimit {' '.join(arguments)}: {ended.stderr}"
    return ended.stdout


def seat_three(service: Service, user: str = "ada", **more: Any) -> None:
    """Three play, the fourth is refused."""
    codes = [service.segment(user, session, "aurora", **more).status for session in ("tv", "phone", "pc", "late")]
    assert codes == [200, 200, 200, 409], codes


def demo(folder: Path) -> str:
    """Players of one user in a page: three play, the fourth says why not."""
    with started(folder, "demo", streams=None, operator_keys=None) as service:
        assert service.get("/watch").status == 200
        seat_three(service)
    return "streamlimit demo"


def own_streams_with_tokens(folder: Path) -> str:
    """A folder of streams, and viewers with the platform's tokens."""
    (folder / "secret").write_bytes(TOKEN_SECRET)
    token = jwt.encode({"alg": "HS256"}, {"sub": "ada", "exp": int(time.time()) + 600}, OctKey.import_key(TOKEN_SECRET))
    settings: dict[str, Any] = {"auth": "jwt", "jwt": {"secret_file": str(folder / "secret")}}
    with started(folder, **settings) as service:
        form = {"user_id": "ada", "stream_id": "aurora"}
        answers = [service.post("/v1/segments", form | {"session_id": name}, key=token) for name in "abcd"]
        assert [answer.status for answer in answers] == [200, 200, 200, 409]
        assert service.post("/v1/segments", form | {"session_id": "a"}).status == 401
    return "auth, jwt.secret_file; a token a viewer"


def nginx_moves_the_bytes(folder: Path) -> str:
    """nginx hands out the files that streamlimit names, and reports what arrived."""
    settings: dict[str, Any] = {"deliver": "accel", "trusted_proxies": ["127.0.0.1"]}
    with (
        started(folder, edge_log=f"unix:{folder}/edge.sock", **settings) as service,
        nginx("nginx-accel.conf", folder, SAMPLES, service) as edge,
    ):
        grant = edge.open("ada", "tv", "aurora")["grant"]
        assert edge.get(f"/play/{grant}/aurora/video-180p/seg-00001.m4s").status == 200
        edge.await_state("ada", "tv", "active")
    return "nginx, deploy/nginx-accel.conf; deliver, trusted_proxies, edge_log"


@contextmanager
def receiver(folder: Path, port: int) -> Any:
    """The receiver of docs/how-to/receive-webhooks.md, in Python."""
    (folder / "receiver.py").write_text(example("how-to/receive-webhooks.md", "python"))
    environment = os.environ | {"WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, folder / "receiver.py"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def a_webhook_arrives(folder: Path) -> str:
    """A viewer leaves, and the platform hears of it."""
    port = free_port()
    callbacks = [{"url": f"http://127.0.0.1:{port}/", "secret": SECRET, "types": ["session.ended"]}]
    with (
        receiver(folder, port) as process,
        started(folder, callbacks=callbacks, allow_private_callbacks=True) as service,
    ):
        service.segment("ada", "tv", "aurora")
        assert service.post("/v1/users/ada/sessions/tv/end").status == 204
        assert process.stdout.readline() == b"session.ended ada\n"
    return "callbacks; 30 lines of Python"


def operate(folder: Path) -> str:
    """Who is watching? One more screen until tomorrow; stop one."""
    with started(folder) as service:
        seat_three(service)
        store = {"STREAMLIMIT_STORE": f"sqlite:///{folder}/streamlimit.db"}
        assert len(command(folder, "sessions", "ada", "--json", **store).splitlines()) == 3
        command(folder, "limit", "ada", "4", "--note", "walk", **store)
        assert service.segment("ada", "late", "aurora").status == 200
        command(folder, "sessions", "ada", "--end", "tv", **store)
        wait_until(lambda: service.segment("ada", "tv", "aurora").status == 410, 5)
    return "streamlimit sessions, limit"


def embed(folder: Path) -> str:
    """The limiter in one's own program."""
    (folder / "own.py").write_text(example("how-to/embed-the-library.md", "python"))
    ended = subprocess.run([sys.executable, folder / "own.py"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "seats taken: 1\n", ended.stderr
    return "15 lines of Python"


def cron(folder: Path) -> str:
    """The sweep as a job."""
    with started(folder, segment_seconds=1, missed_segments=1, sweep_seconds=0) as service:
        service.segment("ada", "tv", "aurora")
        wait_until(lambda: not service.watching("ada")["sessions"], 20)
        store = {"STREAMLIMIT_STORE": f"sqlite:///{folder}/streamlimit.db"}
        rules = {"STREAMLIMIT_SEGMENT_SECONDS": "1", "STREAMLIMIT_MISSED_SEGMENTS": "1"}
        assert "expired 1" in command(folder, "expire", "--max-seconds", "50", **store, **rules)
    return "streamlimit expire; sweep_seconds = 0"


def report(folder: Path) -> str:
    """How many users hit their limit?"""
    with started(folder) as service:
        seat_three(service)
        url = {"STREAMLIMIT_URL": service.url, "STREAMLIMIT_KEY": OPERATOR_KEY}
        rows = [json.loads(line) for line in command(folder, "report", "--json", **url).splitlines()]
        assert sum(row["refused_users"] for row in rows) == 1, rows
    return "streamlimit report"


STEPS: tuple[Callable[[Path], str], ...] = (
    demo, own_streams_with_tokens, nginx_moves_the_bytes, a_webhook_arrives, operate, embed, cron, report,
)  # fmt: skip


def main(names: list[str]) -> int:
    """Exit code."""
    took_all, failed = 0.0, 0
    for step in STEPS:
        if names and step.__name__ not in names:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="streamlimit-walk-") as folder:
            try:
                needed = step(Path(folder))
            except Exception as error:
                needed, failed = f"FAILED: {error}", failed + 1
        took = time.monotonic() - began
        took_all += took
        print(f"{step.__name__.replace('_', ' '):25} {took / 60:5.2f} min   {needed}", flush=True)
    print(f"{'all':25} {took_all / 60:5.2f} min")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
