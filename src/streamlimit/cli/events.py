"""`streamlimit events`: the feed, one line per event, until it is interrupted."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from streamlimit.bootstrap.engine import engine_of
from streamlimit.cli.flags import Where, require_id
from streamlimit.cli.remote import Query, Remote
from streamlimit.cli.tables import print_lines, shown
from streamlimit.document import event_json
from streamlimit.errors import SettingsError, StreamlimitError
from streamlimit.settings import EVENT_TYPES, Settings
from streamlimit.store.contract import resolved
from streamlimit.store.feed import Entry

POLL_SECONDS = 0.5
AGAIN_SECONDS = 2.0
ENDS = ("unauthenticated", "forbidden")
"""Reasons of a closed stream after which reconnecting is of no use."""


class Wanted(Struct, frozen=True):
    """The events that the options ask for."""

    types: tuple[str, ...] = ()
    user: str | None = None
    stream: str | None = None
    as_json: bool = False


def follow(where: Where, wanted: Wanted) -> None:
    """Prints events until Ctrl-C, which is no failure."""
    _check(wanted)
    try:
        if isinstance(where, Remote):
            for document in _from_service(where, wanted):
                _print(document, wanted.as_json)
        else:
            asyncio.run(_from_store(where, wanted))
    except KeyboardInterrupt:
        return


def _check(wanted: Wanted) -> None:
    require_id("--user", wanted.user)
    require_id("--stream", wanted.stream)
    unknown = [name for name in wanted.types if name not in EVENT_TYPES]
    if unknown:
        raise SettingsError("--type", f"{unknown[0]!r} is none of {', '.join(EVENT_TYPES)}")


def _from_service(remote: Remote, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The events of a service, across reconnections. Raises where the service cannot be reached."""
    query: Query = {"type": ",".join(wanted.types) or None, "user_id": wanted.user, "stream_id": wanted.stream}
    last_id, has_begun = None, False
    while True:
        try:
            for number, name, data in remote.events(query, last_id):
                last_id, has_begun = number or last_id, True
                if name.startswith("session."):
                    yield data
                elif name == "closing" and data["reason"] in ENDS:
                    raise StreamlimitError(f"{remote.url}: closed: {data['reason']}")
                elif name:
                    yield {"type": name, "data": data}
        except StreamlimitError as error:
            if not has_begun or "no answer" not in str(error):
                raise
        time.sleep(AGAIN_SECONDS)


async def _from_store(settings: Settings, wanted: Wanted) -> None:
    engine_of(settings).require_made()
    async for entry in _entries(settings):
        session = entry.event.session
        fits = entry.event.type in (wanted.types or EVENT_TYPES) and wanted.user in (None, session.user_id)
        if fits and wanted.stream in (None, session.stream_id):
            _print(msgspec.to_builtins(event_json(entry.event)), wanted.as_json)


async def _entries(settings: Settings) -> AsyncIterator[Entry]:
    feed = engine_of(settings).feed()
    try:
        place = (await resolved(feed.read(None, 0))).newest
        while True:
            page = await resolved(feed.read(place, 500))
            for entry in page.entries:
                yield entry
            place = page.entries[-1].place if page.entries else page.newest
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await resolved(feed.close())


def _print(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_lines([document])
    else:
        print(line(document), flush=True)


def line(document: dict[str, Any]) -> str:
    """One event in words, without control characters in text chosen by others."""
    data = document["data"]
    if "session" not in data:  # an event of the stream itself: a gap, an outage
        return f"({document['type']}: {', '.join(map(str, data.values()))})"
    session = data["session"]
    ids = (f"{name}={session[f'{name}_id']}" for name in ("user", "session", "stream"))
    why = [f"({data['reason']})"] if data["reason"] else []
    by = [f"by {data['by']}"] if data.get("by") else []
    return shown(" ".join([document["timestamp"], document["type"].removeprefix("session."), *ids, *why, *by])).plain
