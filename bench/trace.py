"""`make trace`: the calls of streamlimit's code in a warm request, their files, and returns to earlier files.

    python -m bench.trace [--calls]

A request of a running service is followed call by call on a warm connection, on each store: a segment by Endpoint 1
and by a playback URL, of a session that holds a seat and of a new one, and heartbeats. Each is tried several times
and the least counts, since the service's background work runs in between. `--calls` prints the calls themselves.
"""

import argparse
import http.client
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.programs import Program, program, settings_of, valkey

TRIES = 9
SEGMENT = "video-180p/seg-{:05d}.m4s"


@dataclass(frozen=True)
class Trace:
    """The calls of one request, in their order: `file function`."""

    calls: tuple[str, ...]

    @property
    def files(self) -> int:
        """How many files they are in."""
        return len({call.split()[0] for call in self.calls})

    @property
    def returns(self) -> int:
        """How often one leads back to a file that was already left."""
        visits = [file for file, _ in groupby(call.split()[0] for call in self.calls)]
        return len(visits) - len(set(visits))

    def __str__(self) -> str:
        return f"{len(self.calls):>5} calls {self.files:>4} files {self.returns:>4} returns"


class Traced:
    """A running service whose next request is followed."""

    def __init__(self, running: Program, file: Path) -> None:
        self._pid, self._file = running.process.pid, file
        self._line = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        self._folders: dict[str, str] = {}

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> bytes:
        """One request on the connection that is kept. Its answer's body."""
        body = None if form is None else json.dumps(form)
        self._line.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
        answer = self._line.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def folder(self, user: str) -> str:
        """Below which the user's playback URLs are, who opens a session first."""
        if user not in self._folders:
            opened = json.loads(self.ask("POST", "/v1/sessions", _form(user)))
            self._folders[user] = opened["playback_url"].rsplit("/", 1)[0]
        return self._folders[user]

    def follow(self, method: str, path: str, form: dict[str, str] | None = None) -> Trace:
        """As `ask`, written down. What is settled after the answer (a receipt) belongs to it."""
        self._file.unlink(missing_ok=True)
        os.kill(self._pid, signal.SIGUSR1)
        time.sleep(0.02)
        if self._line.sock is not None:  # acknowledges at once: else the service looks for that for 40 ms
            self._line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.ask(method, path, form)
        time.sleep(0.05)
        os.kill(self._pid, signal.SIGUSR2)
        deadline = time.monotonic() + 10
        while not self._file.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("the traced service wrote nothing")
            time.sleep(0.005)
        return Trace(tuple(line for line in self._file.read_text().splitlines() if not line.startswith("bench/")))


def segment(service: Traced, user: str, number: int) -> Trace:
    """A segment by Endpoint 1."""
    return service.follow("POST", "/v1/segments", _form(user) | {"segment": SEGMENT.format(1 + number % 5)})


def played(service: Traced, user: str, number: int) -> Trace:
    """A segment by a playback URL."""
    return service.follow("GET", f"{service.folder(user)}/{SEGMENT.format(1 + number % 5)}")


def heartbeat(service: Traced, user: str, _number: int) -> Trace:
    """A heartbeat."""
    return service.follow("POST", f"/v1/users/{user}/sessions/tv/heartbeat", {"stream_id": "aurora"})


def _form(user: str) -> dict[str, str]:
    return {"user_id": user, "session_id": "tv", "stream_id": "aurora"}


REQUESTS: dict[str, tuple[Callable[[Traced, str, int], Trace], bool]] = {
    "POST /v1/segments, sitting": (segment, True),
    "POST /v1/segments, new": (segment, False),
    "GET /play, sitting": (played, True),
    "heartbeat, sitting": (heartbeat, True),
    "heartbeat, new": (heartbeat, False),
}


def least(service: Traced, name: str) -> Trace:
    """The shortest of several tries of the request called *name*, warm."""
    ask, sitting = REQUESTS[name]
    words = re.sub(r"\W+", "-", name)
    users = [f"{words}-{0 if sitting else number}" for number in range(TRIES + 2)]
    tries = [ask(service, user, number) for number, user in enumerate(users)]
    return min(tries[2:], key=lambda trace: len(trace.calls))


@contextmanager
def traced(store: str) -> Iterator[Traced]:
    """A service on *store* whose requests can be followed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="trace-")))
        if store == "valkey":
            url = stack.enter_context(valkey()).url.replace("http", "valkey")
        else:
            url = f"sqlite:///{folder}/trace.db"
        file = folder / "calls"
        env = settings_of(folder, store=url)
        command = [sys.executable, "-m", "bench.traced", str(file)]
        yield Traced(stack.enter_context(program(command, None, **env)), file)


def main() -> None:
    """All requests on both stores."""
    parser = argparse.ArgumentParser(prog="bench.trace")
    parser.add_argument("--calls", action="store_true", help="print the calls themselves")
    shown = parser.parse_args().calls
    for store in ("valkey", "sqlite"):
        with traced(store) as service:
            for name in REQUESTS:
                trace = least(service, name)
                print(f"{store:<8}{name:<30}{trace}", flush=True)
                for call in trace.calls if shown else ():
                    print(f"    {call}")


if __name__ == "__main__":
    main()
