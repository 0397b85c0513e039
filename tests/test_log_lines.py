"""Lines of the log leave together, in their order, and none is lost."""

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streamlimit.logs import PIPE_BYTES, EventLog, LogLines, asking, configure_logs

LINES = [b'{"n":%d,"name":"\xc3\xa9"}\n' % number for number in range(400)]


def pieces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written from now on, each piece as it is."""
    written: list[str] = []

    def write(text: str) -> int:
        written.append(text)
        return len(text)

    monkeypatch.setattr(sys, "stderr", type("Err", (), {"write": staticmethod(write), "flush": staticmethod(int)}))
    return written


def test_lines_of_a_turn_leave_at_its_end_in_pieces_that_a_pipe_takes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    written, lines = pieces(monkeypatch), LogLines()

    async def turn() -> None:
        for line in LINES:
            lines.add(line)
        before = len(written)
        await asyncio.sleep(0)
        assert len(written) == before + 1  # the last piece waited

    asyncio.run(turn())
    assert "".join(written).encode() == b"".join(LINES)
    assert 1 < len(written) < 10
    assert all(len(piece.encode()) <= PIPE_BYTES and piece.endswith("\n") for piece in written)


def test_what_is_said_at_once_stands_behind_what_came_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written, lines = pieces(monkeypatch), LogLines()

    async def turn() -> None:
        lines.add(b"first\n")
        lines.write("second\n")
        assert written == ["first\n", "second\n"]
        lines.add(b"third\n")

    asyncio.run(turn())
    assert written == ["first\n", "second\n", "third\n"]


def test_each_turn_and_each_loop_writes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    written, lines = pieces(monkeypatch), LogLines()

    async def turns() -> None:
        for number in range(3):
            lines.add(b"%d\n" % number)
            await asyncio.sleep(0)
            assert len(written) == number + 1

    asyncio.run(turns())
    lines.add(b"no loop\n")
    assert written[3:] == ["no loop\n"]
    stopped = asyncio.new_event_loop()
    stopped.call_soon(lines.add, b"stopped\n")
    stopped.call_soon(stopped.stop)
    stopped.run_forever()
    stopped.close()
    assert written[4:] == []

    async def later() -> None:
        lines.add(b"later\n")

    asyncio.run(later())
    assert written[4:] == ["stopped\nlater\n"]


def test_a_process_that_ends_without_another_turn_has_written_all() -> None:
    script = (
        "import asyncio; from streamlimit.logs import log_lines; loop = asyncio.new_event_loop();"
        "loop.call_soon(log_lines.add, b'the last words\\n'); loop.call_soon(loop.stop); loop.run_forever()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, env=os.environ, check=True)
    assert ended.stderr == b"the last words\n"


def test_a_line_that_is_printed_in_two_pieces_leaves_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    written, lines = pieces(monkeypatch), LogLines()
    print('{"n":1}', file=lines, flush=True)  # type: ignore[call-overload]
    lines.write("unfinished")
    assert written == ['{"n":1}\n']
    lines.flush()
    assert written == ['{"n":1}\n', "unfinished"]


def test_each_line_is_one_write_where_standard_error_has_no_buffer() -> None:
    """Else the line of another worker on the same pipe comes between a line and its end. Here each is a packet."""
    script = (
        "from streamlimit.logs import EventLog, configure_logs; configure_logs()\n"
        "for n in range(20): EventLog('streamlimit.x').info('a line', n=n)"
    )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        subprocess.run([sys.executable, "-c", script], stderr=theirs, timeout=30, env=env, check=True)
        writes = [ours.recv(65_536) for _ in range(20)]
    assert [json.loads(line)["n"] for line in writes] == [*range(20)]
    assert all(line.endswith(b"}\n") for line in writes)


def test_an_event_is_a_line_of_its_fields_and_a_library_s_line_is_the_server_s(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("streamlimit", "uvicorn"):
        logger = logging.getLogger(name)
        for kept in ("handlers", "level", "propagate"):
            monkeypatch.setattr(logger, kept, getattr(logger, kept))
    configure_logs()
    token = asking.set(lambda: "req-1")
    EventLog("streamlimit.x").warning("50% gone", why={"an": Path("odd value")}, name="é")
    asking.reset(token)
    EventLog("streamlimit.x").debug("not told")
    try:
        raise ValueError("broken")
    except ValueError as error:
        EventLog("streamlimit").error("failed", exc_info=error)
    logging.getLogger("uvicorn.error").info("worker %s", 7)
    first, second, third = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert list(first) == ["why", "name", "event", "request_id", "level", "timestamp"]
    assert (first["event"], first["level"], first["name"], first["request_id"]) == ("50% gone", "warning", "é", "req-1")
    assert second["exception"].endswith("ValueError: broken")
    assert (third["event"], third["message"], third["level"]) == ("server", "worker 7", "info")
