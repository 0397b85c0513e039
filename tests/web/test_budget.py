"""What a warm request costs, in calls of our own code and files that they are in: few enough for a reader to follow.

The least of some tries counts. It is measured on Valkey, with what is settled after the answer: a receipt, and the
store's word on it.
"""

import asyncio
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

import streamlimit
import tests.web.worker
from tests.http.raw import post
from tests.web.worker import Line, Worker, worker

OURS = str(Path(streamlimit.__file__).parent) + "/"
WORKER = tests.web.worker.__file__
TRIES = 40


@dataclass(frozen=True)
class Cost:
    """Of one request: its calls, each as `file function`."""

    calls: tuple[str, ...]

    @property
    def files(self) -> set[str]:
        return {call.split()[0] for call in self.calls}


async def cost_of(request: bytes, line: Line, worker: Worker) -> Cost:
    calls: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        is_asked_by_test = frame.f_back is not None and frame.f_back.f_code.co_filename == WORKER
        if event == "call" and frame.f_code.co_filename.startswith(OURS) and not is_asked_by_test:
            calls.append(f"{frame.f_code.co_filename.removeprefix(OURS)} {frame.f_code.co_name}")

    unanswered = worker.service.store.unanswered
    its = line.writer.get_extra_info("socket")
    line.writer.write(request)
    # Now, for sending ends it: else the acknowledgement takes 40 ms, and is looked for more than once.
    its.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    sys.setprofile(note)
    try:
        status, _ = await line.answer()
        while unanswered or worker.is_answering:
            await asyncio.sleep(0.001)
    finally:
        sys.setprofile(None)
    assert status == 200
    return Cost(tuple(calls))


def form(user: str) -> dict[str, str]:
    return {"user_id": user, "session_id": "tv", "stream_id": "aurora"}


class Urls(dict[str, str]):
    """By user, below which path their playback URLs are."""

    async def folder(self, line: Line, user: str) -> str:
        if user not in self:
            _, opened = await line.ask(post("/v1/sessions", form(user)))
            self[user] = msgspec.json.decode(opened)["playback_url"].rsplit("/", 1)[0]
        return self[user]


async def segment(_: Line, user: str, number: int, _urls: Urls) -> bytes:
    return post("/v1/segments", form(user) | {"segment": f"video-180p/seg-{1 + number % 2:05d}.m4s"})


async def played(line: Line, user: str, number: int, urls: Urls) -> bytes:
    folder = await urls.folder(line, user)
    return f"GET {folder}/video-180p/seg-{1 + number % 2:05d}.m4s HTTP/1.1\r\nHost: it\r\n\r\n".encode()


async def heartbeat(_: Line, user: str, _number: int, _urls: Urls) -> bytes:
    return post(f"/v1/users/{user}/sessions/tv/heartbeat", {"stream_id": "aurora"})


async def least(store: str, request_of: Any, is_new: bool) -> Cost:
    found, urls = [], Urls()
    async with worker(store) as its, its.line() as line:
        for number in range(TRIES):
            await cost_of(await request_of(line, "another", number, urls), line, its)  # opens the file
            user = f"{request_of.__name__}-{number if is_new else 'one'}"
            found.append(await cost_of(await request_of(line, user, number, urls), line, its))
    return min(found[2:], key=lambda cost: len(cost.calls))


@pytest.mark.parametrize(
    ("request_of", "is_new", "calls", "files"),
    [
        (segment, False, 86, 24),
        (segment, True, 152, 35),
        (played, False, 90, 27),
        (heartbeat, False, 46, 18),
        (heartbeat, True, 74, 26),
    ],
    ids=["segment, sitting", "segment, new", "GET /play, sitting", "heartbeat, sitting", "heartbeat, new"],
)
def test_a_warm_request_takes_few_calls_of_few_files(
    valkey_url: str, request_of: Any, is_new: bool, calls: int, files: int
) -> None:
    cost = asyncio.run(least(valkey_url, request_of, is_new))
    assert len(cost.calls) <= calls, "\n".join(cost.calls)
    assert len(cost.files) <= files, sorted(cost.files)
