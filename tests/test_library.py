"""streamlimit inside another program: asyncio, threads, FastAPI, Flask, Django. The examples of the how-to are run."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

import streamlimit
from streamlimit import (
    Ask,
    Policy,
    Refusal,
    Refused,
    SettingsError,
    State,
    StoreUnavailable,
    open_limiter,
    open_limiter_sync,
)
from tests.ports import free_port

PAGE = Path(__file__).parent.parent / "docs/how-to/embed-the-library.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
HEAVY = {"fastapi", "starlette", "pydantic", "httpx", "structlog", "sqlite3", "libvalkey", "jinja2", "uvicorn", "rich"}
STORES = ["memory://", "sqlite:///seats.db"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where examples find their segments, and put their store."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        (tmp_path / f"{number}.ts").write_bytes(b"x" * 1_000 + b"\n" + b"y" * 1_000)
    return tmp_path


def ask(session: str, user: str = "ada") -> Ask:
    return Ask(user, session, "aurora")


@pytest.mark.parametrize("store", STORES)
async def test_a_lease_confirms_or_gives_back_and_the_fourth_is_refused(store: str) -> None:
    async with open_limiter(store) as limiter:
        for session in "abc":
            async with limiter.lease(ask(session)):
                pass
        with pytest.raises(Refused) as refused:
            await limiter.reserve(ask("d"))
        assert [each.session_id for each in refused.value.refusal.sessions] == ["a", "b", "c"]
        with pytest.raises(ZeroDivisionError):
            async with limiter.lease(ask("x", "bo")):
                1 / 0  # noqa: B018
        assert (await limiter.sessions("bo")).live == 0
    await limiter.close()
    with pytest.raises(StoreUnavailable):
        await limiter.sessions("ada")


@pytest.mark.parametrize("store", STORES)
def test_threads_have_the_same_limiter(store: str) -> None:
    with open_limiter_sync(store, Policy(max_sessions=2)) as limiter:
        with limiter.lease(ask("tv")) as lease:
            lease.issue("0.ts", 0, play_ms=6_000)
        assert [each.segment for each in limiter.sessions("ada").sessions] == ["0.ts"]
        assert not isinstance(limiter.beat(ask("phone")), Refusal)
        assert isinstance(limiter.admit(ask("pc")), Refusal)
        limiter.set_limit("ada", 3)
        assert not isinstance(limiter.admit(ask("pc")), Refusal)
        limiter.set_limit("ada", None)
        assert [event.type for event in limiter.end("ada", "tv")] == ["session.ended"]
        assert [event.type for event in limiter.terminate("ada", "phone", "support", "asked")] == ["session.terminated"]
        assert limiter.expire().events == ()
    limiter.close()


def test_of_many_threads_no_more_than_the_limit_get_a_seat() -> None:
    with open_limiter_sync("memory://") as limiter:
        decisions: list[Any] = []
        threads = [threading.Thread(target=lambda n=n: decisions.append(limiter.beat(ask(f"s{n}")))) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(isinstance(each, Refusal) for each in decisions) == 13


def test_a_limiter_for_threads_goes_on_in_a_forked_child(folder: Path) -> None:
    code = (
        "import os\nfrom streamlimit import Ask, open_limiter_sync\n"
        "limiter = open_limiter_sync('sqlite:///seats.db')\nlimiter.beat(Ask('ada', 'tv', 'aurora'))\n"
        "if os.fork() == 0:\n    os._exit(limiter.sessions('ada').live)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.stdout.strip(), ended.stderr) == ("1", "")


@pytest.mark.parametrize(
    "url", ["", "seats.db", "sqlite://seats.db", "sqlite:///", "valkey://", "memory://x", "http://x"]
)
def test_a_url_of_no_store_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match="store: give memory://"):
        open_limiter(url)


async def test_a_store_that_cannot_be_opened_or_reached_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        open_limiter("sqlite:////nowhere/seats.db")

    async with open_limiter(f"valkey://127.0.0.1:{free_port()}") as limiter:
        with pytest.raises(StoreUnavailable):
            await limiter.sessions("ada")


def test_the_import_is_light_and_what_is_exported_is_there() -> None:
    code = "import sys, streamlimit; print(*sys.modules)"
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # it imports, too
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)
    loaded = asked.stdout.split()
    assert HEAVY & set(loaded) == set()
    assert all(getattr(streamlimit, name).__doc__ for name in streamlimit.__all__)
    assert (Path(streamlimit.__file__).parent / "py.typed").exists()
    with pytest.raises(AttributeError):
        streamlimit.nothing  # noqa: B018


# The examples of the page


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The one whose import is named, as a module."""
    (source,) = (each for each in EXAMPLES if f"from {request.param}" in each)
    module = ModuleType("example")
    exec(compile(source, f"{PAGE.name}:{request.param}", "exec"), module.__dict__)
    yield module
    if request.param != "fastapi":
        module.limiter.close()


def test_the_first_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[0], PAGE.name, "exec"), {})
    assert capsys.readouterr().out == "seats taken: 1\n"


def test_the_examples_are_about_twenty_lines() -> None:
    assert len(EXAMPLES) == 4
    assert all(sum(bool(line.strip()) for line in each.splitlines()) <= 22 for each in EXAMPLES)


@pytest.mark.parametrize("example", ["fastapi"], indirect=True)
def test_the_fastapi_example_seats_three_and_explains_the_fourth(example: ModuleType) -> None:
    from starlette.testclient import TestClient

    with TestClient(example.app) as client:
        answers = [client.get(f"/segments/ada/s{number}/1") for number in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 409]
        assert len(answers[0].content) == 2_001
        assert answers[3].headers["content-type"] == "application/problem+json"
        told = answers[3].json()
        assert {(each["state"], each["segment"], each["sequence"]) for each in told["sessions"]} == {
            ("active", "1.ts", 1)
        }


class Client:
    """An ASGI client that may leave before the last byte."""

    def __init__(self, app: Any, leaves: bool) -> None:
        self._app, self._leaves = app, leaves

    async def get(self, path: str) -> None:
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for message in messages:
                return message
            if self._leaves:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            await asyncio.sleep(0)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [], "scheme": "http",
        }  # fmt: skip
        await self._app(scope, receive, send)


@pytest.mark.parametrize("example", ["fastapi"], indirect=True)
@pytest.mark.parametrize(("leaves", "live"), [(True, 0), (False, 1)])
def test_a_segment_response_confirms_only_what_was_sent_to_who_was_there(
    example: ModuleType, leaves: bool, live: int
) -> None:
    async def work() -> Any:
        async with example.limiter as limiter:
            await Client(example.app, leaves).get("/segments/ada/tv/1")
            return await limiter.sessions("ada")

    roster = asyncio.run(work())
    assert (roster.live, [each.state for each in roster.sessions]) == (live, [State.ACTIVE] * live)


@pytest.mark.parametrize("example", ["fastapi"], indirect=True)
def test_a_file_that_is_not_there_gives_the_seat_back(example: ModuleType) -> None:
    async def work() -> int:
        async with example.limiter as limiter:
            with pytest.raises(RuntimeError, match="does not exist"):
                await Client(example.app, False).get("/segments/ada/tv/7")
            return (await limiter.sessions("ada")).live

    assert asyncio.run(work()) == 0


@pytest.mark.parametrize(("status", "leaves", "seated"), [(404, False, 0), (200, True, 0), (200, False, 1)])
def test_an_error_that_is_sent_and_a_client_that_left_give_the_seat_back(
    status: int, leaves: bool, seated: int
) -> None:
    from starlette.responses import PlainTextResponse

    from streamlimit.fastapi import SegmentResponse

    async def work() -> int:
        async with open_limiter("memory://") as limiter:
            lease = await limiter.reserve(ask("tv"))
            await Client(SegmentResponse(lease, PlainTextResponse("bytes", status)), leaves).get("/")
            return (await limiter.sessions("ada")).live

    assert asyncio.run(work()) == seated


def _wsgi(app: Any, path: str, takes_all: bool = True) -> tuple[str, bytes]:
    """Status and body, as a WSGI server would ask; it closes what it got."""
    environ: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    told: list[str] = []
    body = app(environ, lambda status, headers, error=None: told.append(status))
    chunks = []
    for chunk in body:
        chunks.append(chunk)
        if not takes_all:
            break
    getattr(body, "close", lambda: None)()
    return told[0], b"".join(chunks)


def _django(module: ModuleType) -> Any:
    django = pytest.importorskip("django", reason="make setup")
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="of the tests")
        django.setup()
    settings.ROOT_URLCONF = module
    from django.urls import clear_url_caches, set_urlconf

    clear_url_caches()
    set_urlconf(None)
    return WSGIHandler()


@pytest.mark.parametrize("example", ["flask", "django.http"], indirect=True)
def test_the_wsgi_examples_seat_three_and_explain_the_fourth(example: ModuleType) -> None:
    app = example.app if hasattr(example, "app") else _django(example)
    assert [_wsgi(app, f"/segments/ada/s{number}/1")[0][:3] for number in range(3)] == ["200"] * 3
    status, body = _wsgi(app, "/segments/ada/s3/1")
    assert status.startswith("409")
    assert b'"code":"session-limit"' in body
    assert {(each.state, each.sequence) for each in example.limiter.sessions("ada").sessions} == {(State.ACTIVE, 1)}
    assert _wsgi(app, "/segments/bo/tv/1", takes_all=False)[1] == b"x" * 1_000 + b"\n"
    assert example.limiter.sessions("bo").live == 0, "given back: the client left in the middle"
