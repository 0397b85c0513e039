"""Viewers that play through edges while something is away: ffmpeg, which tries nothing again, and who asks anew."""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests import servers
from tests.edge.calls import some_user
from tests.edge.programs import Edge
from tests.edge.recipes import EDGES, Recipes
from tests.service import SAMPLES, Answer, Service, await_readiness, temporary_folder, wait_until

X, N, SECONDS_AWAY = 6, 3, 5
SECONDS = 90
"""How long a state may take to come on a busy machine."""
NEWCOMERS = 5
"""Of one user, whose limit is three; more than Envoy lets ask again at once unless it is told to."""

Told = Counter[tuple[int, str]]
"""How often each status came, and the code of the document, if there was one."""


class Viewer:
    """A session that plays *stream* at reading speed."""

    def __init__(self, edge: Edge, stream: str) -> None:
        self._edge, self._user = edge, some_user()
        grant = _opened(edge, self._user, "s", stream)
        self._player = _ffmpeg(f"http://127.0.0.1:{edge.port}/play/{grant}/{stream}/master.m3u8", "-re")
        self.seats = set[str]()
        """When it took its seat, as often as was looked; more than one: it had lost it."""

    def place(self) -> int:
        """The last segment that it is known to have received; 0 where the store cannot say."""
        sessions = self._edge.service.watching(self._user).get("sessions", [])
        self.seats |= {each["started_at"] for each in sessions}
        return max((each["sequence"] or 0 for each in sessions), default=0)

    def end(self) -> str:
        """What it received, as ffmpeg says, and what it complains of."""
        try:
            return "".join(self._player.communicate(timeout=SECONDS))
        finally:
            self._player.kill()


class Outcome(NamedTuple):
    """By recipe: what ffmpeg received, how many seats it had one after the other; by outage and recipe: what newcomers
    were told who came in it.
    """

    received: dict[str, str]
    seats: dict[str, int]
    newcomers: dict[str, dict[str, Told]]


class Stage:
    """All edges in front of one service with a store of its own. *lengths*: of its streams, in segments of 2 s."""

    def __init__(self, stack: ExitStack, lengths: Mapping[str, int]) -> None:
        self.server = stack.enter_context(servers.single("valkey", "--appendonly", "yes", "--appendfsync", "no"))
        folder = stack.enter_context(temporary_folder())
        for stream, length in lengths.items():
            _make_beginning(folder / "streams" / stream, length)
        players = {stream: _ffmpeg(str(folder / "streams" / stream / "master.m3u8")) for stream in lengths}
        settings: dict[str, Any] = {"streams": str(folder / "streams"), "deliver": "accel", "store": self.server.url}
        settings |= {"segment_seconds": X, "missed_segments": N, "edge_cache_seconds": 3, "start_seconds": SECONDS}
        recipes = Recipes(stack, folder, edge_log=f"unix:{folder}/edge.sock", **settings)
        self.service, self.edges = recipes.service, {name: recipes.edge(name) for name in EDGES}
        self.pool = stack.enter_context(ThreadPoolExecutor(NEWCOMERS * len(EDGES)))
        self.digests = {stream: player.communicate()[0] for stream, player in players.items()}
        """What ffmpeg says of each stream where it receives all."""

    def played(self, stream: str, names: Sequence[str], outages: Mapping[str, AbstractContextManager[None]]) -> Outcome:
        """Plays through those edges, to the end, while something is away, one after the other."""
        newcomers = {outage: {name: self.newcomers(name, stream) for name in EDGES} for outage in outages}
        viewers = {name: Viewer(self.edges[name], stream) for name in names}
        _await_all(
            list(viewers.values()), [3] * len(names)
        )  # ffmpeg has read ahead at first, and wants nothing for 5 s
        asked = {}
        for outage, away in outages.items():
            with away:
                since = time.monotonic()
                asked[outage] = {name: self.asked(name, stream, grants) for name, grants in newcomers[outage].items()}
                time.sleep(max(0, SECONDS_AWAY - (time.monotonic() - since)))
            await_readiness(self.service)
            self._await_more(list(viewers.values()))
        return Outcome(
            {name: viewer.end() for name, viewer in viewers.items()},
            {name: len(viewer.seats) for name, viewer in viewers.items()},
            {outage: {name: told(each) for name, each in found.items()} for outage, found in asked.items()},
        )

    def newcomers(self, name: str, stream: str) -> list[str]:
        """Grants of one user's sessions, none of which has a seat."""
        edge, user = self.edges[name], some_user()
        grants = []
        for session in map(str, range(NEWCOMERS)):
            grants.append(_opened(edge, user, session, stream))
            end, form = f"/v1/users/{user}/sessions/{session}/end", {"grant": grants[-1], "keep_grant": True}
            wait_until(lambda end=end, form=form: edge.service.post(end, form).status == 204, SECONDS, "the end")
        return grants

    def asked(self, name: str, stream: str, grants: Sequence[str]) -> "list[Future[Answer]]":
        """What that edge answers to each of them for a segment, all at once."""
        path = f"{stream}/video-180p/seg-00001.m4s"
        return [self.pool.submit(self.edges[name].get, f"/play/{grant}/{path}") for grant in grants]

    def seated(self, name: str, user: str, stream: str) -> str:
        """The grant of a session that holds a seat; an edge that keeps a yes has one of it."""
        edge = self.edges[name]
        grant = _opened(edge, user, "s", stream)
        for number in (1, 2, 3, 4):  # the second tells of the first, where nothing else does
            assert edge.get(f"/play/{grant}/{stream}/video-180p/seg-0000{number}.m4s").status == 200
            if number == 2:
                edge.await_state(user, "s", "active")
        return grant

    def _await_more(self, viewers: Sequence[Viewer]) -> None:
        """Each receives something, and streamlimit, when it is back, hears of it."""
        _await_all(viewers, [1] * len(viewers))
        _await_all(viewers, [viewer.place() + 1 for viewer in viewers])


def _opened(edge: Edge, user: str, session: str, stream: str) -> str:
    """A session's grant, as soon as the store gives one: on a busy machine it answers late at times."""
    found: dict[str, Any] = {}
    wait_until(lambda: found.update(edge.open(user, session, stream)) or "grant" in found, SECONDS, "a grant")
    return str(found["grant"])


def told(answers: "Sequence[Future[Answer]]") -> Told:
    found = Told()
    for answer in (each.result() for each in answers):
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        found[answer.status, json.loads(answer.body)["code"] if is_problem else ""] += 1
    return found


@contextmanager
def killed(service: Service) -> Iterator[None]:
    """streamlimit is not there."""
    service.kill()
    yield
    service.start_again()


@contextmanager
def stopped(server: servers.Server) -> Iterator[None]:
    """The store keeps its connections and answers nothing."""
    server.hang()
    yield
    server.resume()


@contextmanager
def lost(server: servers.Server) -> Iterator[None]:
    """The store is killed, and comes back with its data."""
    server.kill()
    yield
    server.restart()


def _await_all(viewers: Sequence[Viewer], places: Sequence[int]) -> None:
    def are_there() -> bool:
        return all(viewer.place() >= place for viewer, place in zip(viewers, places, strict=True))

    wait_until(are_there, SECONDS, f"{places}")


def _ffmpeg(entry: str, *options: str) -> "subprocess.Popen[str]":
    """Plays to the end, then prints a digest of all that it received. A segment that fails it leaves out."""
    command = ["ffmpeg", "-v", "error", "-nostdin", *options, "-i", entry]
    command += ["-map", "0:v:0", "-map", "0:a:0", "-c", "copy", "-f", "md5", "-"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _make_beginning(folder: Path, segments: int) -> None:
    """A sample's first *segments*, of its video and audio renditions."""
    folder.mkdir(parents=True)
    for one in (SAMPLES / "aurora").iterdir():
        if one.is_dir():
            shutil.copytree(one, folder / one.name)
        elif one.suffix == ".m3u8":
            head, *media = one.read_text().split("#EXTINF")
            lines = [f"#EXTINF{each}" for each in media[:segments]]
            end = [] if segments >= len(media) else ["#EXT-X-ENDLIST\n"]
            (folder / one.name).write_text("".join([head, *lines, *end]))
