"""Which server holds which shard: asked of the cluster's nodes or of the sentinels, all at once, first answer first.

All at once, because one of them may hang, and whoever waited for it would not learn of the promotion meanwhile.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.store.valkey.connection import Pipe, encode
from streamlimit.store.valkey.keys import SHARDS, SLOTS
from streamlimit.store.valkey.location import Address, Layout, Location
from streamlimit.store.valkey.nodes import Opening, ask, ask_once

Plan = list[Address | None]
"""The address of each shard's server; None where nobody serves its slot."""


class NotFound(Exception):
    """Nobody could say; the text is what went wrong last."""


async def find(location: Location, opening: Opening, known: dict[Address, Pipe | None]) -> Plan:
    """Asks the seeds and all *known* servers, over their open connection where there is one."""
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
    answer = await (ask(pipe, command) if pipe is not None else ask_once(address, opening, command))
    return _slots(answer, address)


def _primary(answer: Any, location: Location) -> Plan:
    if not answer:
        raise ValueError(f"the sentinels know no service {location.service!r}")
    return [(answer[0].decode(), int(answer[1]))] * SHARDS


def _slots(answer: Any, asked: Address) -> Plan:
    """CLUSTER SLOTS: ranges of slots, each with its primary first. An empty host is the one that was asked."""
    ranges = [(first, last, primary[0], primary[1]) for first, last, primary, *_ in answer]
    owners: dict[int, Address] = {}
    for slot in set(SLOTS):
        for first, last, host, port in ranges:
            if first <= slot <= last:
                owners[slot] = (host.decode() if host else asked[0], port)
    if not owners:
        raise ValueError("the cluster serves no slots")
    return [owners.get(slot) for slot in SLOTS]
