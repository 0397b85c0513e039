"""What a request costs the server itself, in calls of its own code: few enough to be followed by a reader."""

import asyncio
import sys
from types import FrameType, SimpleNamespace
from typing import Any

import streamlimit.http
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from tests.http.raw import post
from tests.http.servers import connection

OURS = streamlimit.http.__path__[0] + "/"
CALLS, FILES = 36, 6


class Line(asyncio.Transport):
    """A connection to which anything can be written."""

    written = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += 1

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


async def test_a_request_on_a_warm_connection_takes_few_calls_of_few_files() -> None:
    """With five headers and a body, answered at once."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            calls.append(frame.f_code.co_filename)

    def handle(_: Request, exchange: Exchange) -> None:
        exchange.whole(200, b"")

    wire: Any = SimpleNamespace(nudge=lambda: None, watcher=None)
    one, line = connection(handle, tap=lambda _: wire), Line()
    one.connection_made(line)
    sent = post("/v1/segments", {"user_id": "ann"}, "Accept: */*", "Authorization: Bearer x")
    one.data_received(sent)
    sys.setprofile(note)
    try:
        one.data_received(sent)
    finally:
        sys.setprofile(None)
    assert line.written == 2
    assert len(calls) <= CALLS
    assert len(set(calls)) <= FILES
