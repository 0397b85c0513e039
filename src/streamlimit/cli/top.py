"""`streamlimit top`: the present numbers of sessions by stream, updated on a terminal until a key ends it."""

import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamlimit.census import count_once
from streamlimit.cli.flags import Where
from streamlimit.cli.keyboard import Keyboard
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.remote import Remote
from streamlimit.cli.tables import shown
from streamlimit.errors import StreamlimitError
from streamlimit.limiter import Limiter
from streamlimit.store.contract import resolved

REFRESH_SECONDS = 2.0
STREAMS = 20
QUIT = frozenset("qQ")
STATES = ("active", "idle", "starting")


def show(where: Where) -> None:
    """Shows the numbers until Q or Ctrl-C, which is no failure; once in a pipe or a dumb terminal."""
    try:
        why_once = _why_once()
        if why_once:
            Console(width=120 if not sys.stdout.isatty() else None).print(screen(_look(where)))
            print(f"streamlimit: shown once: {why_once}", file=sys.stderr)
        else:
            _follow(where)
    except KeyboardInterrupt:
        return


def _why_once() -> str:
    """Why the numbers are shown only once; empty where they are updated."""
    if not sys.stdout.isatty():
        return "the output is no terminal"
    return "this terminal cannot be drawn on (TERM)" if Console().is_dumb_terminal else ""


def _follow(where: Where) -> None:
    numbers, wrong = _look(where), ""  # an error at the beginning ends the command
    with Keyboard() as keyboard, Live(screen(numbers), screen=True, auto_refresh=False) as live:
        while QUIT.isdisjoint(keyboard.wait(REFRESH_SECONDS)):
            try:
                numbers, wrong = _look(where), ""
            except StreamlimitError as error:  # a restart, or an unavailable store: it may be over soon
                wrong = str(error)
            live.update(screen(numbers, wrong), refresh=True)


def screen(numbers: dict[str, Any], wrong: str = "") -> Group:
    """The screen with the numbers of `/v1/stats`; *wrong*: why they are old."""
    sessions = numbers.get("sessions")
    streams = Table("stream", "sessions", box=None)
    for name, count in list((numbers.get("streams") or {}).items())[:STREAMS]:
        streams.add_row(shown(name), str(count))
    old = [shown(f"as it was before: {wrong}")] if wrong else []
    return Group(*old, *_lines(numbers, sessions), Text(), streams)


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
        return where.get("/v1/stats", None, "sessions", "users", "streams")
    return on_limiter(where, _counted)


async def _counted(limiter: Limiter) -> dict[str, Any]:
    """The numbers of the store alone, without those of workers' decisions."""
    census = await count_once(limiter.store)
    return {
        "sessions": dict(census.states),
        "users": census.users,
        "users_at_limit": census.at_limit,
        "streams": dict(census.streams.most_common(STREAMS)),
        "callbacks": {"pending": await resolved(limiter.store.pending())},
    }
