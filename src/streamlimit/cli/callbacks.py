"""`streamlimit callbacks`: what waits for its call back, what failed for good, and sending that again."""

import asyncio
import json
from typing import Any

from msgspec import Struct

from streamlimit.bootstrap.store import require_store
from streamlimit.bootstrap.webhooks import open_outbox
from streamlimit.cli.tables import print_table
from streamlimit.document import rfc3339
from streamlimit.settings import Settings
from streamlimit.store.contract import DeadLetter, Outbox, resolved

COLUMNS = ("pending", "retrying", "dead", "dropped", "replayed", "disabled", "problem")


class Shown(Struct):
    """One endpoint: its numbers by column, and its dead letters."""

    endpoint: str
    numbers: dict[str, Any]
    dead: list[dict[str, str]]


def show(settings: Settings, replay: bool, as_json: bool) -> None:
    """All endpoints; *replay*: after their dead letters were put back."""
    require_store(settings)
    found = asyncio.run(_look(settings, replay))
    if as_json:
        for each in found:
            print(json.dumps({"endpoint": each.endpoint, **each.numbers, "dead_letters": each.dead}))
        return
    print_table(("endpoint", *COLUMNS), [(each.endpoint, *map(_cell, each.numbers.values())) for each in found])
    for each in found:
        for delivery in each.dead:
            print(f"dead letter to {each.endpoint}: " + " ".join(map(str, delivery.values())))


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


async def _look(settings: Settings, replay: bool) -> list[Shown]:
    outbox = open_outbox(settings)
    try:
        replayed = await _replay(outbox) if replay else {}
        return await _endpoints(outbox, replayed)
    finally:
        await resolved(outbox.close())


async def _replay(outbox: Outbox) -> dict[str, int]:
    """How many dead letters of each endpoint wait again."""
    replayed = dict.fromkeys((backlog.endpoint for backlog in await resolved(outbox.backlog())), 0)
    for endpoint in replayed:
        while count := await resolved(outbox.replay(endpoint, 500)):  # in steps: viewers wait for each
            replayed[endpoint] += count
            await asyncio.sleep(0.01)
    return replayed


async def _endpoints(outbox: Outbox, replayed: dict[str, int]) -> list[Shown]:
    found = []
    for backlog in await resolved(outbox.backlog()):
        numbers = {name: getattr(backlog, name, None) for name in COLUMNS}
        numbers["replayed"] = replayed.get(backlog.endpoint, 0)
        deliveries = await resolved(outbox.dead_letters(backlog.endpoint, 100))
        found.append(Shown(backlog.endpoint, numbers, [_dead(delivery) for delivery in deliveries]))
    return found


def _dead(delivery: DeadLetter) -> dict[str, str]:
    session = delivery.event.session
    names = {"id": delivery.event.id, "type": delivery.event.type, "at": rfc3339(delivery.at_ms)}
    return names | {"user_id": session.user_id, "session_id": session.session_id, "problem": delivery.problem}
