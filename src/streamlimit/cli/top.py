"""`streamlimit top`: how many watch what, at this moment; on a terminal again and again, until it is interrupted."""

import sys
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamlimit.census import Census, count_once
from streamlimit.cli.flags import Where
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.remote import Remote
from streamlimit.cli.tables import shown
from streamlimit.limiter import Limiter
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved

REFRESH_SECONDS = 2.0
STREAMS = 20
STATES = ("active", "idle", "starting")


def show(where: Where) -> None:
    """Ctrl-C ends it, and is no failure. Where nobody looks (a pipe) it is told once."""
    try:
        if not sys.stdout.isatty():
            Console(width=120).print(screen(_look(where)))
            return
        with Live(screen(_look(where)), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_SECONDS)
                live.update(screen(_look(where)), refresh=True)
    except KeyboardInterrupt:
        return


def screen(numbers: dict[str, Any]) -> Group:
    """The numbers of `/v1/stats`, as far as there are any, for people."""
    sessions = numbers.get("sessions")
    streams = Table("stream", "sessions", box=None)
    for name, count in list((numbers.get("streams") or {}).items())[:STREAMS]:
        streams.add_row(shown(name), str(count))
    return Group(*_lines(numbers, sessions), Text(), streams)


def _lines(numbers: dict[str, Any], sessions: dict[str, int] | None) -> Iterator[Text]:
    if sessions is None:
        yield Text("not counted yet")
    else:
        states = ", ".join(f"{sessions.get(state, 0)} {state}" for state in STATES)
        at_limit = numbers.get("users_at_limit")
        full = "" if at_limit is None else f", {at_limit} of them at their limit"
        yield Text(f"{sum(sessions.values())} sessions ({states}) of {numbers['users']} users{full}")
    if "admissions" in numbers:
        refusals = ", ".join(f"{count} {code}" for code, count in numbers["refusals"].items()) or "none"
        yield Text(f"{numbers['admissions']} admitted since the start; refused: {refusals}")
        store = numbers["store"]
        yield Text(f"store: {'away' if store['away'] else 'there'}, {store['latency_ms'] or 0:g} ms")
    waiting = numbers.get("callbacks", {}).get("pending")
    if waiting is not None:
        yield Text(f"webhooks waiting: {waiting}")


def _look(where: Where) -> dict[str, Any]:
    if isinstance(where, Remote):
        found: dict[str, Any] = where.get("/v1/stats", None, "sessions", "users", "streams")
        return found
    return _counted(where)


def _counted(settings: Settings) -> dict[str, Any]:
    """What the store tells: not what workers decided."""
    found: dict[str, Any] = {}

    async def work(limiter: Limiter) -> None:
        census: Census = await count_once(limiter.store)
        found.update(sessions=dict(census.states), users=census.users, users_at_limit=census.at_limit)
        found.update(streams=dict(census.streams.most_common(STREAMS)))
        found.update(callbacks={"pending": await resolved(limiter.store.pending())})

    on_limiter(settings, work)
    return found
