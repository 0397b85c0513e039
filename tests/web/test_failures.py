"""A failure within a hot request affects that request alone: one problem, logged once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from streamlimit.logs import configure_logs
from streamlimit.store.contract import resolved
from streamlimit.store.deferred import Deferred
from tests.http.raw import post
from tests.web.worker import Line, Worker, worker

MOST_SECONDS = 40
"""A request that is never answered fails its test."""

Story = Callable[[Worker, Line], Awaitable[None]]


def beat(session: str) -> bytes:
    return post(f"/v1/users/ann/sessions/{session}/heartbeat", {"stream_id": "aurora"})


def segment(session: str) -> bytes:
    form = {"user_id": "ann", "session_id": session, "stream_id": "aurora", "segment": "video-90p/seg-00001.m4s"}
    return post("/v1/segments", form)


def raising(*_: object) -> Any:
    raise RuntimeError("a bug of ours")


async def raising_later(*_: object) -> Any:
    await asyncio.sleep(0)
    raise RuntimeError("a bug of ours")


def bringing_later(*_: object) -> Any:
    """By what calls back, without a task."""
    answer: Deferred[Any] = Deferred()
    asyncio.get_running_loop().call_soon(answer.come, RuntimeError("a bug of ours"))
    return answer


def told(story: Story, folder: Path) -> None:
    async def run() -> None:
        configure_logs()
        async with worker(f"sqlite:///{folder}/x.db") as its, its.line() as line, asyncio.timeout(MOST_SECONDS):
            await story(its, line)

    asyncio.run(run())


def failures(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] in ("failed", "server")]


BROKEN = [raising, raising_later, bringing_later]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize(("request_of", "promise"), [(beat, "beat"), (segment, "admit")])
def test_what_breaks_is_answered_and_logged_once_and_the_next_request_has_its_own_answer(
    request_of: Any, promise: str, broken: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(worker: Worker, line: Line) -> None:
        good = getattr(worker.service.store, promise)
        setattr(worker.service.store, promise, broken)
        line.writer.write(request_of("broken"))
        while worker.is_answering or worker.state.total_requests == 0:
            await asyncio.sleep(0)
        setattr(worker.service.store, promise, good)
        line.writer.write(beat("whole"))
        status, body = await line.answer()
        assert (status, json.loads(body)["code"]) == (500, "internal")
        assert b"a bug of ours" not in body
        status, body = await line.answer()
        assert (status, json.loads(body)["session_id"]) == (200, "whole")

    told(story, tmp_path)
    (failure,) = failures(capsys.readouterr().err)
    assert failure["level"] == "error"
    assert "a bug of ours" in failure["exception"]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_receipt_that_breaks_ends_the_connection_and_no_other(
    broken: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The segment is out by then: nothing may be put behind it that the client takes for the next answer."""

    async def story(worker: Worker, line: Line) -> None:
        worker.service.store.confirm = broken  # type: ignore[method-assign]
        status, content = await line.ask(segment("tv"))
        assert (status, len(content) > 1_000) == (200, True)
        assert await line.reader.read() == b""
        async with worker.line() as other:
            status, body = await other.ask(beat("phone"))
            assert (status, json.loads(body)["session_id"]) == (200, "phone")

    told(story, tmp_path)
    assert len(failures(capsys.readouterr().err)) == 1


def test_who_leaves_before_the_answer_comes_gets_none_and_nobody_else_gets_it(tmp_path: Path) -> None:
    async def story(worker: Worker, line: Line) -> None:
        coming: list[tuple[Deferred[Any], Any]] = []
        good = worker.service.store.beat

        def held(ask: Any) -> Any:
            answer: Deferred[Any] = Deferred()
            coming.append((answer, ask))
            return answer

        worker.service.store.beat = held  # type: ignore[method-assign]
        line.writer.write(beat("gone"))
        async with worker.line() as other:
            other.writer.write(beat("stays"))
            while len(coming) < 2:
                await asyncio.sleep(0)
            line.writer.transport.abort()
            while len(worker.state.connections) > 1:
                await asyncio.sleep(0)
            worker.service.store.beat = good  # type: ignore[method-assign]
            for answer, ask in coming:
                answer.come(await resolved(good(ask)))
            status, body = await other.answer()
            assert (status, json.loads(body)["session_id"]) == (200, "stays")
            status, body = await other.ask(beat("again"))
            assert (status, json.loads(body)["session_id"]) == (200, "again")

    told(story, tmp_path)
