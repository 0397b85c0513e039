"""The subjects of the measurement of decisions: servers on their stores, with their kinds of requests.

A row is a subject and a kind. Peers are in peers/, each with what it lacks; docs/compared.md says what that means.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.kinds import BEAT, HEARTBEAT, JSON_ONLY, NOTHING, SEGMENT, Asked, Call, kinds
from bench.names import FLOOR, FLOORS, NAIVE, ON_SQLITE, ON_VALKEY, PEER, peer_of
from bench.programs import LUA_MODULE, Program, bare, nginx, nginx_lua, node, streamlimit, uvicorn_app

Start = Callable[[Path, str], AbstractContextManager[Program]]
"""Given a folder of its own and the store's URL."""


@dataclass(frozen=True)
class Subject:
    """*call*: how the race and the taken seats are asked for. *needs*: programs, or files. *at_half*: of these kinds
    the latencies at half of their rate are measured, too.
    """

    name: str
    start: Start
    asks: dict[str, Asked]
    call: Call | None = None
    store: Literal["none", "one", "cluster"] = "none"
    needs: tuple[str, ...] = ()
    at_half: tuple[str, ...] = ()

    def row(self, kind: str) -> str:
        """The row's name."""
        return f"{self.name}, {kind}" if kind else self.name

    def only(self, rows: set[str]) -> "Subject":
        """With those of its rows alone."""
        return replace(self, asks={kind: asked for kind, asked in self.asks.items() if self.row(kind) in rows})


@contextmanager
def _answers_204(folder: Path, _store: str) -> Iterator[Program]:
    with nginx(folder, "location / { return 204; }") as running:
        yield running


def _constant(_folder: Path, _store: str) -> AbstractContextManager[Program]:
    return uvicorn_app("constant")


def _ours(folder: Path, store: str) -> AbstractContextManager[Program]:
    return streamlimit(folder, **({"store": store} if store else {}))


def _two_of_ours(folder: Path, store: str) -> AbstractContextManager[Program]:
    return streamlimit(folder, core=None, workers=2, **({"store": store} if store else {}))


def _peer(name: str) -> Start:
    return lambda _folder, store: uvicorn_app(name, BENCH_STORE=store)


OURS = kinds(HEARTBEAT, "sitting", "refused from memory", "refused first", "new")
THEIRS = kinds(BEAT, "sitting", "refused", "new")
SITTING = kinds(BEAT, "sitting")
LUA = ("nginx", LUA_MODULE)

SUBJECTS = [
    Subject(FLOORS[0], _answers_204, {"": NOTHING}, needs=("nginx",)),
    Subject(FLOORS[1], lambda _folder, _store: bare(), {"": JSON_ONLY}),
    Subject(FLOOR, _constant, {"": JSON_ONLY}),
    Subject(ON_VALKEY, _ours, OURS, HEARTBEAT, "one", at_half=("sitting", "new")),
    Subject(PEER, lambda folder, store: nginx_lua(folder, store), THEIRS, BEAT, "one", LUA, ("sitting", "new")),
    Subject(
        "Node, one script a request", lambda _, store: node(store), THEIRS, BEAT, "one", ("node",), ("sitting", "new")
    ),
    Subject("uvicorn raw ASGI, one script a request", _peer("raw_scripted"), THEIRS, BEAT, "one", at_half=("sitting",)),
    Subject("FastAPI, one script a request", _peer("scripted"), SITTING, BEAT, "one"),
    Subject(NAIVE, _peer("naive"), SITTING, BEAT, "one"),
    Subject(ON_SQLITE, _ours, OURS | {"a 2 KB segment received": SEGMENT}, HEARTBEAT, at_half=("sitting", "new")),
    Subject("streamlimit on a cluster", _ours, OURS, HEARTBEAT, "cluster"),
    Subject("streamlimit, 2 workers on Valkey", _two_of_ours, OURS, HEARTBEAT, "one"),
    Subject(f"{PEER}, 2 workers", lambda folder, store: nginx_lua(folder, store, 2), THEIRS, BEAT, "one", LUA),
    Subject("Node, one script a request, 2 workers", lambda _, store: node(store, 2), THEIRS, BEAT, "one", ("node",)),
    Subject("streamlimit, 2 workers on a cluster", _two_of_ours, OURS, HEARTBEAT, "cluster"),
    Subject("streamlimit, 2 workers on SQLite", _two_of_ours, OURS, HEARTBEAT),
]


def chosen(words: Sequence[str]) -> list[Subject]:
    """All; or the rows with one of *words* in their name, and those that they are compared to."""
    if not words:
        return SUBJECTS
    rows = {subject.row(kind) for subject in SUBJECTS for kind in subject.asks}
    asked = {row for row in rows if any(word.lower() in row.lower() for word in words)}
    beside = {FLOOR} | {peer for row in asked if (peer := peer_of(row))} if asked else set()
    return [some for subject in SUBJECTS if (some := subject.only(asked | beside)).asks]
