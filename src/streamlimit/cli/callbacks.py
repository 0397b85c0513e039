"""`streamlimit callbacks`: waiting webhooks, dead letters, and sending these again."""

import asyncio
import json
from typing import Any

from msgspec import Struct

from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.webhooks import open_endpoints, open_outbox
from streamlimit.cli.remote import Remote
from streamlimit.cli.tables import print_table, shown
from streamlimit.document import rfc3339, wall_ms
from streamlimit.model import Event, Session, State
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.store.outbox import DeadLetter, Outbox
from streamlimit.webhooks.addresses import Addresses
from streamlimit.webhooks.sender import Failed, Outcome, Sender, Sent, Unwanted

COLUMNS = ("pending", "retrying", "dead", "dropped", "replayed", "disabled", "problem")


class Shown(Struct):
    """One endpoint for display: its numbers by column, and its dead letters."""

    endpoint: str
    numbers: dict[str, Any]
    dead: list[dict[str, str]]


def show_of_service(remote: Remote, as_json: bool) -> None:
    """Shows the endpoints of a running service: what waits, and what its workers sent."""
    found = remote.get("/v1/stats", None, "callbacks")["callbacks"]
    if as_json:
        print(json.dumps(found))
        return
    rows = [("waiting", _cell(found["pending"]))]
    rows += [(str(shown(name)), str(count)) for name, count in found["attempts"].items()]
    rows += [(f"{shown(name)}/dropped", str(count)) for name, count in (found.get("dropped") or {}).items()]
    print_table(("what", "count"), rows)


def show(settings: Settings, replay: bool, as_json: bool) -> None:
    """Shows all endpoints; *replay*: after putting their dead letters back."""
    engine_of(settings).require_made()
    found = asyncio.run(_look(settings, replay))
    if as_json:
        for each in found:
            print(json.dumps({"endpoint": each.endpoint, **each.numbers, "dead_letters": each.dead}))
        return
    print_table(("endpoint", *COLUMNS), [(each.endpoint, *map(_cell, each.numbers.values())) for each in found])
    for each in found:
        for delivery in each.dead:
            print(f"dead letter to {each.endpoint}: " + " ".join(map(str, delivery.values())))


def try_all(settings: Settings) -> None:
    """Sends each endpoint a test event, and prints the results. Exit code 1: not all of them accepted it."""
    outcomes = asyncio.run(_try_all(settings))
    if not outcomes:
        print("no webhooks are set")
    for name, outcome in outcomes:
        print(f"{name}: {_in_words(outcome)}")
    if not all(isinstance(outcome, Sent) for _, outcome in outcomes):
        raise SystemExit(1)


async def _try_all(settings: Settings) -> list[tuple[str, Outcome]]:
    addresses, found = Addresses(settings.allow_private_callbacks), list[tuple[str, Outcome]]()
    for endpoint in open_endpoints(settings):
        sender = Sender(endpoint, addresses)
        try:
            found.append((endpoint.name, await sender.send(_test_event(min(endpoint.types)))))
        finally:
            await sender.close()
    return found


def _test_event(kind: str) -> Event:
    """A test event of a user who does not exist, marked as a test in the body."""
    now_ms = wall_ms()
    ids = "streamlimit-test", "streamlimit-test", "streamlimit-test"
    session = Session(*ids, State.ENDED, None, None, None, now_ms, None, now_ms, now_ms, 0)
    return Event(kind, session, now_ms, "a test of the endpoint: nothing happened")


def _in_words(outcome: Outcome) -> str:
    match outcome:
        case Sent():
            return "took the test event (2xx)"
        case Unwanted():
            return "wants no more (410)"
        case Failed(problem):
            return f"failed: {problem}"


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
    """Puts dead letters back into the queues; returns how many by endpoint."""
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
