"""`streamlimit sessions`: who is watching, and the end of one."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from rich.text import Text

from streamlimit.cli.flags import Where
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.remote import Remote, part
from streamlimit.cli.tables import print_table, shown
from streamlimit.document import session_json
from streamlimit.errors import SettingsError
from streamlimit.ids import wrong_with_id
from streamlimit.limiter import Limiter
from streamlimit.store.contract import resolved

COLUMNS = ("user", "session", "stream", "state", "device", "since", "last activity", "expires")
WHY = "ended from the command line"


def show(where: Where, user: str | None, as_json: bool) -> None:
    """The sessions of *user*, or of all."""
    _require_id("USER", user)
    if isinstance(where, Remote):
        _print(list(where.pages("/v1/sessions", "sessions", {"user_id": user})), as_json)
        return

    async def work(limiter: Limiter) -> None:
        _print([session async for session in _sessions(limiter, user)], as_json)

    on_limiter(where, work)


def end(where: Where, user: str | None, session: str) -> None:
    """Terminates one."""
    if user is None:
        raise SettingsError("--end", "name the user whose session it is")
    _require_id("USER", user)
    _require_id("--end", session)
    if isinstance(where, Remote):
        path = _path_of(user, session)
        was_there = where.has(path)
        if was_there:
            where.change("DELETE", path, query={"reason": WHY})
        _print_end(user, session, was_there)
        return

    async def work(limiter: Limiter) -> None:
        events = await resolved(limiter.terminate(user, session, "operator", WHY))
        _print_end(
            user, session, any(event.type == "session.terminated" for event in events)
        )  # else others that ran out

    on_limiter(where, work)


def forgive(where: Where, user: str | None, session: str | None) -> None:
    """Lets one that was terminated come back, or (None) all of the user's."""
    if user is None:
        raise SettingsError("--forgive", "name the user whose session it is")
    _require_id("USER", user)
    _require_id("--forgive", session)
    if isinstance(where, Remote):
        which = "" if session is None else f"/{part(session)}"
        where.change("DELETE", f"/v1/users/{part(user)}/terminations{which}")
        print(f"{user}'s terminated sessions may come back" if session is None else f"{session} may come back")
        return

    async def work(limiter: Limiter) -> None:
        count = await resolved(limiter.forgive(user, session))
        print(f"{count} of {user}'s terminated sessions may come back" if count else f"{user} has none that could not")

    on_limiter(where, work)


def _path_of(user: str, session: str) -> str:
    return f"/v1/users/{part(user)}/sessions/{part(session)}"


def _print_end(user: str, session: str, was_there: bool) -> None:
    print(f"terminated {session}" if was_there else f"{user} has no session {session}")
    if not was_there:
        raise SystemExit(1)


def _require_id(name: str, given: str | None) -> None:
    wrong = None if given is None else wrong_with_id(given)
    if wrong is not None:
        raise SettingsError(name, wrong)


def _print(sessions: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for session in sessions:
            print(msgspec.json.encode(session).decode())
    else:
        print_table(COLUMNS, map(row, sessions))


async def _sessions(limiter: Limiter, user: str | None) -> AsyncIterator[dict[str, Any]]:
    cursor: str | None = None
    is_more = True
    while is_more:
        page = await resolved(limiter.store.browse(cursor, 500, user, None, None))
        for session in page.sessions:
            yield msgspec.to_builtins(session_json(session))
        cursor = page.cursor
        is_more = cursor is not None


def row(session: dict[str, Any]) -> tuple[str | Text, ...]:
    """The row of a session, as the service shows it, by `COLUMNS`."""
    device = session["device"]
    if isinstance(device, dict):
        device = device.get("id") or device.get("name") or device.get("type")
    times = session["started_at"] or "-", session["last_activity_at"] or "never", session["expires_at"] or "-"
    ids = map(shown, (session["user_id"], session["session_id"], session["stream_id"]))
    return *ids, session["state"], shown(device or "-"), *times
