"""How many decisions a second on one core, beside a constant answer and what people write today?

Sitting: a heartbeat of one of 1,000 sessions that sit: validated, decided, confirmed. New: a heartbeat of a session
never seen: a seat reserved and confirmed.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Load, load, post
from bench.programs import Program, nginx, redis, streamlimit, uvicorn_app

SITTING = post('"/v1/users/u"..(n % 1000).."/sessions/s1/heartbeat"', '\'{"stream_id":"aurora"}\'')
NEW = post('"/v1/users/"..thread_salt.."-"..n.."/sessions/s1/heartbeat"', '\'{"stream_id":"aurora"}\'')
SEGMENT = post(
    '"/v1/segments"',
    '\'{"user_id":"u\'..(n % 1000)..\'","session_id":"s1","stream_id":"aurora","segment":"video-90p/seg-00002.m4s"}\'',
)
BEAT = post('"/beat"', '\'{"user_id":"u\'..(n % 1000)..\'","session_id":"s1","stream_id":"aurora"}\'')


@dataclass(frozen=True)
class Row:
    """One server and one kind of request."""

    name: str
    start: Callable[[Path, str], object]
    request: str


@contextmanager
def _nothing(folder: Path, _store: str) -> Iterator[Program]:
    with nginx(folder, "location / { return 204; }") as running:
        yield running


def _constant(_folder: Path, _store: str) -> object:
    return uvicorn_app("constant")


def _peer(name: str) -> Callable[[Path, str], object]:
    return lambda _folder, store: uvicorn_app(name, BENCH_STORE=store)


def _ours(on_valkey: bool, workers: int = 1) -> Callable[[Path, str], object]:
    def start(folder: Path, store: str) -> object:
        chosen = {"store": store} if on_valkey else {}
        return streamlimit(folder, core=0 if workers == 1 else None, workers=workers, **chosen)

    return start


FLOOR = "uvicorn raw ASGI, JSON, no store"
NAIVE = "FastAPI, get-check-set"
ROWS = [
    Row("nginx answering 204", _nothing, 'return wrk.format("GET", "/")'),
    Row(FLOOR, _constant, BEAT),
    Row("streamlimit on Valkey, sitting", _ours(on_valkey=True), SITTING),
    Row("streamlimit on Valkey, new", _ours(on_valkey=True), NEW),
    Row("streamlimit on SQLite, sitting", _ours(on_valkey=False), SITTING),
    Row("streamlimit on SQLite, new", _ours(on_valkey=False), NEW),
    Row("streamlimit on SQLite, a 2 KB segment received", _ours(on_valkey=False), SEGMENT),
    Row("FastAPI, one script a request", _peer("scripted"), BEAT),
    Row(NAIVE, _peer("naive"), BEAT),
]


def measure(rounds: int = 3, seconds: int = 4) -> dict[str, list[Load]]:
    """Each row *rounds* times, interleaved, so that a slow moment of the machine hits all alike."""
    found: dict[str, list[Load]] = {row.name: [] for row in ROWS}
    for _ in range(rounds):
        for row in ROWS:
            found[row.name].append(_once(row, seconds))
    return found


def _once(row: Row, seconds: int) -> Load:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        store = stack.enter_context(redis())
        server = stack.enter_context(row.start(folder, f"redis://127.0.0.1:{store.port}/0"))  # type: ignore[arg-type]
        load(server, row.request, seconds=1)  # warm, and seated
        return load(server, row.request, seconds=seconds)
