"""`streamlimit sessions`: lists live sessions, ends one, or forgives terminated ones."""

from functools import partial
from typing import Any

import msgspec
from rich.text import Text

from streamlimit.cli.flags import Where, require_id
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.remote import Remote, part
from streamlimit.cli.tables import print_lines, print_table, shown
from streamlimit.document import session_json
from streamlimit.errors import SettingsError
from streamlimit.limiter import Limiter
from streamlimit.settings import Settings
from streamlimit.store.contract import pages, resolved

COLUMNS = ("user", "session", "stream", "state", "device", "since", "last activity", "expires")
WHY = "ended from the command line"


def show(where: Where, user: str | None, as_json: bool) -> None:
    """Lists the sessions of *user*, or (None) of all users."""
    require_id("USER", user)
    if isinstance(where, Remote):
        found = list(where.pages("/v1/sessions", "sessions", {"user_id": user}))
    else:
        found = on_limiter(where, partial(_sessions, user=user))
    if as_json:
        print_lines(found)
    else:
        print_table(COLUMNS, map(row, found))


def end(where: Where, user: str | None, session: str) -> None:
    """Terminates the session."""
    if user is None:
        raise SettingsError("--end", "name the user whose session it is")
    require_id("USER", user)
    require_id("--end", session)
    was_there = _end_there(where, user, session) if isinstance(where, Remote) else _end_here(where, user, session)
    print(f"terminated {session}" if was_there else f"{user} has no session {session}")
    if not was_there:
        raise SystemExit(1)


def _end_there(remote: Remote, user: str, session: str) -> bool:
    path = f"/v1/users/{part(user)}/sessions/{part(session)}"
    was_there = remote.has(path)
    if was_there:
        remote.change("DELETE", path, query={"reason": WHY})
    return was_there


def _end_here(settings: Settings, user: str, session: str) -> bool:
    async def work(limiter: Limiter) -> bool:
        events = await resolved(limiter.terminate(user, session, "operator", WHY))
        return any(event.type == "session.terminated" for event in events)  # others have run out

    return on_limiter(settings, work)


def forgive(where: Where, user: str | None, session: str | None) -> None:
    """Lets a terminated session come back, or (None) all of the user's."""
    if user is None:
        raise SettingsError("--forgive", "name the user whose session it is")
    require_id("USER", user)
    require_id("--forgive", session)
    if isinstance(where, Remote):
        which = "" if session is None else f"/{part(session)}"
        where.change("DELETE", f"/v1/users/{part(user)}/terminations{which}")
        print(f"{user}'s terminated sessions may come back" if session is None else f"{session} may come back")
        return

    async def work(limiter: Limiter) -> int:
        return await resolved(limiter.forgive(user, session))

    count = on_limiter(where, work)
    print(f"{count} of {user}'s terminated sessions may come back" if count else f"{user} has none that could not")


async def _sessions(limiter: Limiter, user: str | None) -> list[dict[str, Any]]:
    listing = pages(lambda cursor: limiter.store.browse(cursor, 500, user, None, None))
    return [msgspec.to_builtins(session_json(session)) async for page in listing for session in page.sessions]


def row(session: dict[str, Any]) -> tuple[str | Text, ...]:
    """The cells of a session's document, by `COLUMNS`."""
    device = session["device"]
    if isinstance(device, dict):
        device = device.get("id") or device.get("name") or device.get("type")
    times = session["started_at"] or "-", session["last_activity_at"] or "never", session["expires_at"] or "-"
    ids = map(shown, (session["user_id"], session["session_id"], session["stream_id"]))
    return *ids, session["state"], shown(device or "-"), *times
