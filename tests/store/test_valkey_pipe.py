"""When commands leave for the server, and which answer belongs to which."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from streamlimit.errors import StoreUnavailable
from streamlimit.store.valkey.connection import AHEAD, Call, Pipe


class Line:
    """A transport that keeps what is written."""

    def __init__(self, aborted: Callable[[], None] = lambda: None) -> None:
        self.written: list[bytes] = []
        self.abort = aborted

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False


def in_one_turn(send: Callable[[Pipe, Line], None]) -> list[bytes]:
    """What was written at its end, too."""

    async def turn() -> list[bytes]:
        pipe, line = Pipe(5.0, lambda *_: None, lambda *_: None), Line()
        pipe.connection_made(cast(asyncio.Transport, line))
        send(pipe, line)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        written = list(line.written)
        pipe.connection_lost(None)
        return written

    return asyncio.run(turn())


def awaited() -> Call:
    return Call(b"", lambda answer: None, 0.0, lambda reply: reply)


def told(heard: list[Any]) -> Call:
    return Call(b"", heard.append, 0.0, lambda reply: reply, is_awaited=False)


def test_many_that_somebody_waits_for_leave_before_the_turn_is_over() -> None:
    commands = [b"%d;" % number for number in range(2 * AHEAD + 3)]

    def send(pipe: Pipe, line: Line) -> None:
        for number, command in enumerate(commands, 1):
            pipe.send(awaited(), command)
            assert len(line.written) == number // AHEAD

    written = in_one_turn(send)
    assert len(written) == 3
    assert b"".join(written) == b"".join(commands)


def test_what_nobody_waits_for_leaves_at_the_end_of_the_turn_all_at_once() -> None:
    commands = [b"%d;" % number for number in range(5 * AHEAD)]

    def send(pipe: Pipe, line: Line) -> None:
        for number, command in enumerate(commands):
            pipe.send(told([]) if number % 2 else None, command)
        assert line.written == []

    assert in_one_turn(send) == [b"".join(commands)]


def heard(reply: bytes, decode: Callable[[Any], Any] = lambda reply: reply) -> tuple[list[Any], list[str]]:
    """What came of one call that a server answers so, and why the connection ended, if it did."""
    answers, lost = list[Any](), list[str]()

    async def turn() -> None:
        pipe = Pipe(5.0, lambda *_: None, lambda pipe, why: lost.append(why))
        line = Line(lambda: pipe.connection_lost(None))
        pipe.connection_made(cast(asyncio.Transport, line))
        pipe.send(Call(b"", answers.append, 0.0, decode), b"ask;")
        pipe.data_received(reply)
        await asyncio.sleep(0)
        if not lost:
            pipe.connection_lost(None)

    asyncio.run(turn())
    return answers, lost


def test_an_answer_that_cannot_be_read_is_the_stores_fault_and_ends_nothing_else() -> None:
    answers, _ = heard(b"+OK\r\n", lambda reply: 1 // 0)
    assert isinstance(answers[0], StoreUnavailable)
    assert "unreadable" in str(answers[0])
    assert heard(b"+OK\r\n")[0] == [b"OK"]


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n+and more than was asked\r\n"])
def test_what_does_not_speak_the_protocol_is_hung_up_on(reply: bytes) -> None:
    answers, lost = heard(reply)
    assert "not the protocol" in lost[0]
    assert len(answers) == 1, "nobody waits for ever"


async def test_each_turn_has_its_own_end() -> None:
    pipe, line = Pipe(5.0, lambda *_: None, lambda *_: None), Line()
    pipe.connection_made(cast(asyncio.Transport, line))
    for number in range(AHEAD):
        pipe.send(awaited(), b"a%d;" % number)
    pipe.send(awaited(), b"b;")
    await asyncio.sleep(0)
    assert line.written[1:] == [b"b;"]
    pipe.send(awaited(), b"c;")
    await asyncio.sleep(0)
    pipe.connection_lost(None)
    assert line.written[2:] == [b"c;"]
