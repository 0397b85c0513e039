"""Datagrams of an edge's log: all that came is read, in its order, however fast it comes."""

import asyncio
import socket
from pathlib import Path

import pytest

from streamlimit.edge import datagrams
from streamlimit.edge.datagrams import Datagrams, bound
from tests.ports import free_port


async def _received(where: str, address: str | tuple[str, int], count: int, burst: int) -> list[bytes]:
    line = bound(where)
    assert line is not None
    found: list[bytes] = []
    done = asyncio.Event()

    def took(some: list[bytes]) -> None:
        found.extend(some)
        if len(found) == count:
            done.set()

    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with line, socket.socket(kind, socket.SOCK_DGRAM) as out:
        reading = Datagrams(line, took)
        out.connect(address)
        for begin in range(0, count, burst):
            for number in range(begin, begin + burst):
                out.send(b"%d" % number)
            while len(found) < begin + burst:
                await asyncio.sleep(0)
        await asyncio.wait_for(done.wait(), 10)
        out.send(b"last")
        reading.close()
    return found


@pytest.mark.parametrize("room", [1, datagrams.ROOM * 1_000_000])
@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_all_are_read_in_their_order(tmp_path: Path, kind: str, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "ROOM", room)
    port = free_port()
    where = f"unix:{tmp_path}/log" if kind == "unix" else f"udp://127.0.0.1:{port}"
    address = f"{tmp_path}/log" if kind == "unix" else ("127.0.0.1", port)
    found = asyncio.run(_received(where, address, 300, burst=5))
    assert found == [*(b"%d" % number for number in range(300)), b"last"]


def test_others_have_their_turn_within_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "AT_ONCE", 2)

    async def run() -> list[int]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        taken = list[int]()
        with ours, theirs:
            reading = Datagrams(ours, lambda some: taken.append(len(some)))
            for _ in range(8):
                theirs.send(b"x")
            while sum(taken) < 8:
                await asyncio.sleep(0)
            reading.close()
        return taken

    assert max(asyncio.run(run())) == 2
