"""`streamlimit sessions`: who is watching, and the end of one."""

from collections.abc import AsyncIterator

import msgspec
from rich.text import Text

from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.tables import print_table, shown
from streamlimit.document import rfc3339, session_json
from streamlimit.errors import SettingsError
from streamlimit.ids import wrong_with_id
from streamlimit.limiter import Limiter
from streamlimit.model import Device, Session
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved

COLUMNS = ("user", "session", "stream", "state", "device", "since", "last activity", "expires")


def show(settings: Settings, user: str | None, as_json: bool) -> None:
    """The sessions of *user*, or of all."""
    _require_id("USER", user)

    async def work(limiter: Limiter) -> None:
        sessions = _sessions(limiter, user)
        if as_json:
            async for session in sessions:
                print(msgspec.json.encode(session_json(session)).decode())
        else:
            print_table(COLUMNS, [_row(session) async for session in sessions])

    on_limiter(settings, work)


def end(settings: Settings, user: str | None, session: str) -> None:
    """Terminates one."""
    if user is None:
        raise SettingsError("--end", "name the user whose session it is")
    _require_id("USER", user)
    _require_id("--end", session)

    async def work(limiter: Limiter) -> None:
        told = await resolved(limiter.terminate(user, session, "operator", "ended from the command line"))
        was_there = any(event.type == "session.terminated" for event in told)  # else others that ran out
        print(f"terminated {session}" if was_there else f"{user} has no session {session}")
        if not was_there:
            raise SystemExit(1)

    on_limiter(settings, work)


def forgive(settings: Settings, user: str | None, session: str | None) -> None:
    """Lets one that was terminated come back, or (None) all of the user's."""
    if user is None:
        raise SettingsError("--forgive", "name the user whose session it is")
    _require_id("USER", user)
    _require_id("--forgive", session)

    async def work(limiter: Limiter) -> None:
        count = await resolved(limiter.forgive(user, session))
        print(f"{count} of {user}'s terminated sessions may come back" if count else f"{user} has none that could not")

    on_limiter(settings, work)


def _require_id(name: str, given: str | None) -> None:
    wrong = None if given is None else wrong_with_id(given)
    if wrong is not None:
        raise SettingsError(name, wrong)


async def _sessions(limiter: Limiter, user: str | None) -> AsyncIterator[Session]:
    cursor: str | None = None
    is_more = True
    while is_more:
        page = await resolved(limiter.store.browse(cursor, 500, user, None, None))
        for session in page.sessions:
            yield session
        cursor = page.cursor
        is_more = cursor is not None


def _row(session: Session) -> tuple[str | Text, ...]:
    device = session.device
    if isinstance(device, Device):
        device = device.id or device.name or device.type
    last = "never" if session.last_activity_ms is None else rfc3339(session.last_activity_ms)
    times = rfc3339(session.started_at_ms), last, rfc3339(session.expires_at_ms)
    ids = map(shown, (session.user_id, session.session_id, session.stream_id))
    return *ids, session.state, shown(device or "-"), *times
