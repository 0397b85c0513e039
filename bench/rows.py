"""What decisions are measured on: each row is a server, its store, and one kind of request. Peers are in peers/."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.aims import FLOOR, NAIVE, VALKEY_SITTING
from bench.load import post
from bench.programs import Program, bare, nginx, node, streamlimit, uvicorn_app

Start = Callable[[Path, str], AbstractContextManager[Program]]
"""Given a folder of its own and the store's URL."""


@dataclass(frozen=True)
class Asked:
    """One kind of request: as Lua for wrk, and (where it decides) as bytes for a user and a session."""

    lua: str
    raw: Callable[[str, str], bytes] | None = None


@dataclass(frozen=True)
class Row:
    """*store*: what is started for it. *at_half*: latencies at half of its rate are of interest, too."""

    name: str
    start: Start
    asked: Asked
    store: Literal["none", "one", "cluster"] = "none"
    program: str | None = None
    at_half: bool = False


def _post(path: str, body: dict[str, str]) -> bytes:
    text = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def _heartbeat(user: str, session: str) -> bytes:
    return _post(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": "aurora"})


def _beat(user: str, session: str) -> bytes:
    return _post("/beat", {"user_id": user, "session_id": session, "stream_id": "aurora"})


SITTING = Asked(post('"/v1/users/u"..(n % 1000).."/sessions/s1/heartbeat"', '\'{"stream_id":"aurora"}\''), _heartbeat)
NEW = Asked(post('"/v1/users/"..salt.."-"..n.."/sessions/s1/heartbeat"', '\'{"stream_id":"aurora"}\''), _heartbeat)
SEGMENT = Asked(
    post(
        '"/v1/segments"',
        '\'{"user_id":"u\'..(n % 1000)..\'","session_id":"s1","stream_id":"aurora",'
        '"segment":"video-90p/seg-00002.m4s"}\'',
    )
)
BEAT_LUA = post('"/beat"', '\'{"user_id":"u\'..(n % 1000)..\'","session_id":"s1","stream_id":"aurora"}\'')
BEAT, JSON_ONLY = Asked(BEAT_LUA, _beat), Asked(BEAT_LUA)
NOTHING = Asked('return wrk.format("GET", "/")')


@contextmanager
def _answers_204(folder: Path, _store: str) -> Iterator[Program]:
    with nginx(folder, "location / { return 204; }") as running:
        yield running


def _peer(name: str) -> Start:
    return lambda _folder, store: uvicorn_app(name, BENCH_STORE=store)


def _ours(folder: Path, store: str) -> AbstractContextManager[Program]:
    return streamlimit(folder, **({"store": store} if store else {}))


def _two_workers(folder: Path, store: str) -> AbstractContextManager[Program]:
    return streamlimit(folder, core=None, workers=2, **({"store": store} if store else {}))


NODE = "Node http, one script a request"
ROWS = [
    Row("nginx answering 204", _answers_204, NOTHING, program="nginx"),
    Row("uvloop and httptools alone, JSON, no store", lambda _folder, _store: bare(), JSON_ONLY),
    Row(FLOOR, _peer("constant"), JSON_ONLY),
    Row(VALKEY_SITTING, _ours, SITTING, "one", at_half=True),
    Row("streamlimit on Valkey, new", _ours, NEW, "one"),
    Row("streamlimit on a cluster, sitting", _ours, SITTING, "cluster"),
    Row("streamlimit on a cluster, new", _ours, NEW, "cluster"),
    Row("streamlimit on SQLite, sitting", _ours, SITTING, at_half=True),
    Row("streamlimit on SQLite, new", _ours, NEW),
    Row("streamlimit on SQLite, a 2 KB segment received", _ours, SEGMENT),
    Row("streamlimit, 2 workers on Valkey, sitting", _two_workers, SITTING, "one"),
    Row("streamlimit, 2 workers on Valkey, new", _two_workers, NEW, "one"),
    Row("streamlimit, 2 workers on a cluster, sitting", _two_workers, SITTING, "cluster"),
    Row("streamlimit, 2 workers on a cluster, new", _two_workers, NEW, "cluster"),
    Row("streamlimit, 2 workers on SQLite, sitting", _two_workers, SITTING),
    Row("streamlimit, 2 workers on SQLite, new", _two_workers, NEW),
    Row(NODE, lambda _folder, store: node(store), BEAT, "one", program="node"),
    Row("uvicorn raw ASGI, one script a request", _peer("raw_scripted"), BEAT, "one", at_half=True),
    Row("FastAPI, one script a request", _peer("scripted"), BEAT, "one"),
    Row(NAIVE, _peer("naive"), BEAT, "one"),
]
