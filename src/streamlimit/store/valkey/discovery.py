"""Discovery of the server of each shard: the cluster's nodes or the sentinels are all asked at once.

The first answer counts: one of them may hang, and a worker that waited for it would miss a promotion.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, NamedTuple

from streamlimit.errors import StoreUnavailable
from streamlimit.store.valkey.connection import Pipe, encode
from streamlimit.store.valkey.keys import SHARDS, SLOTS
from streamlimit.store.valkey.location import Address, Layout, Location
from streamlimit.store.valkey.nodes import Opening, ask_once, login_of

Plan = list[Address | None]
"""The address of each shard's server; None where no server has its slot."""


class NotFound(Exception):
    """No node answered with a layout; the text is the last failure."""


def asking_for_layout(location: Location, timeout: float) -> Opening:
    """How a connection to a seed is opened: without a login to sentinels, for it is that of the store's servers."""
    greeting = () if location.layout is Layout.SENTINEL else login_of(location)
    return Opening(location.tls, timeout, greeting)


async def find(location: Location, opening: Opening, known: dict[Address, Pipe | None]) -> Plan:
    """The layout, from the seeds or any *known* server, over its open connection where there is one."""
    questions = {
        asyncio.ensure_future(_question(location, opening, address, known.get(address)))
        for address in _whom(location, known)
    }
    trouble = ""
    try:
        for finished in asyncio.as_completed(questions):
            try:
                return await finished
            except (OSError, TimeoutError, StoreUnavailable, ValueError) as error:
                trouble = str(error) or "no answer in time"
    finally:
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
    raise NotFound(trouble)


def _whom(location: Location, known: Iterable[Address]) -> list[Address]:
    if location.layout is Layout.SENTINEL:
        return list(location.seeds)
    return list(dict.fromkeys([*known, *location.seeds]))


async def _question(location: Location, opening: Opening, address: Address, pipe: Pipe | None) -> Plan:
    if location.layout is Layout.SENTINEL:
        command = encode("SENTINEL", "GET-MASTER-ADDR-BY-NAME", location.service)
        return _primary(await ask_once(address, opening, command), location)
    command = encode("CLUSTER", "SLOTS")
    answer = await (pipe.ask(command) if pipe is not None else ask_once(address, opening, command))
    return slots_of(answer, address)


def _primary(answer: Any, location: Location) -> Plan:
    if not answer:
        raise ValueError(f"the sentinels know no service {location.service!r}")
    return [(answer[0].decode(), int(answer[1]))] * SHARDS


def slots_of(answer: Any, asked: Address) -> Plan:
    """The layout in the *answer* to CLUSTER SLOTS: ranges of slots, each with its primary first."""
    ranges = sorted((first, last, _address(primary, asked)) for first, last, primary, *_ in answer)
    if not ranges:
        raise ValueError("the cluster serves no slots")
    firsts = [first for first, _, _ in ranges]

    def owner(slot: int) -> Address | None:
        _, last, address = ranges[bisect_right(firsts, slot) - 1]
        return address if firsts[0] <= slot <= last else None

    return [owner(slot) for slot in SLOTS]


def _address(node: list[Any], asked: Address) -> Address:
    """The address of a *node*: its name, else its IP, else the address that was *asked*."""
    host, port, *more = node
    beside = more[1] if len(more) > 1 else []
    others = dict(zip(beside[::2], beside[1::2], strict=False))
    name = (others.get(b"ip", b"") if host == b"?" else host or b"").decode()
    return name or asked[0], port


class Pointer(NamedTuple):
    """A redirection of a slot to another server."""

    slot: int
    address: Address


def pointed_to(text: str, asked: Address, known: Iterable[Address]) -> Pointer | None:
    """The redirection in the *text* of MOVED or ASK, such as `3999 10.0.0.1:6381`; None for any other text.

    Without a host it is the one that was asked. `?` stands for a server that does not know its name: one of the *known*
    ones, or the one that was asked.
    """
    slot, _, where = text.partition(" ")
    host, _, port = where.rpartition(":")
    if not (slot.isdecimal() and port.isdecimal()):
        return None
    if host == "?":
        candidates = {its_host for its_host, its_port in known if its_port == int(port)}
        host = candidates.pop() if len(candidates) == 1 else ""
    return Pointer(int(slot), (host or asked[0], int(port)))
