"""Pages of exactly *limit* sessions, made of a store's pages, which are by whole users.

A cursor is opaque: the store's own and, where a page ends between two sessions of one user, the last session.
"""

import asyncio
import base64
import binascii

import msgspec
from msgspec import Struct

from streamlimit.errors import BadCursor
from streamlimit.model import Device, OwnLimit, Session
from streamlimit.store.contract import Store, resolved
from streamlimit.web.problems import Problem, wrong_field

MOST_LOOKED = 5_000
"""Sessions that one page searches for a device: a page may be short or empty, and not the last."""


class Cursor(Struct, array_like=True):
    """The beginning of the next page: in *user_id*'s sessions after the named one, then at the cursor *store*."""

    store: str | None
    user_id: str | None = None
    after: tuple[int, str] | None = None


class Filters(Struct, frozen=True):
    """Filters of a listing of sessions; None: all."""

    user_id: str | None
    stream_id: str | None
    state: str | None
    device: str | None = None
    """A part of the device's id, name or type, in lower case. The store does not filter by it."""

    def fits(self, session: Session) -> bool:
        """Does the session pass the filters that the store did not apply already?"""
        return self.device is None or any(self.device in part.casefold() for part in _parts(session.device))


async def browse(store: Store, cursor: str | None, limit: int, filters: Filters) -> tuple[list[Session], str | None]:
    """A page of *limit* sessions, and the next page's cursor, None on the last. Raises `malformed`.

    The last page is shorter, and so is one that found few sessions of a device.
    """
    at = Cursor(None) if cursor is None else _read(cursor)
    found = await _rest_of_user(store, at, filters)
    following, more = at.store, at.user_id is None or at.store is not None
    looked = 0
    while more and len(found) < limit and looked < MOST_LOOKED:
        wanted = limit - len(found) if filters.device is None else limit
        try:
            page = await resolved(store.browse(following, wanted, *_fields(filters)))
        except BadCursor as error:
            raise _forged() from error
        fitting = [session for session in page.sessions if filters.fits(session)]
        if found and filters.device is not None and len(found) + len(fitting) > limit:
            break  # the next page begins with these
        looked += len(page.sessions)
        found += fitting
        following, more = page.cursor, page.cursor is not None
        await asyncio.sleep(0)  # viewers first
    if len(found) > limit:  # only the last user's sessions are too many
        last = found[limit - 1]
        return found[:limit], _written(Cursor(following, last.user_id, _rank(last)))
    return found, None if following is None else _written(Cursor(following))


async def browse_limits(store: Store, cursor: str | None, limit: int) -> tuple[list[OwnLimit], str | None]:
    """*limit* users with a limit of their own (fewer on the last page), and the next page's cursor, as `browse`."""
    following, more, found = None if cursor is None else _read(cursor).store, True, list[OwnLimit]()
    while more and len(found) < limit:
        try:
            page = await resolved(store.limits(following, limit - len(found)))
        except BadCursor as error:
            raise _forged() from error
        found += page.limits
        following, more = page.cursor, page.cursor is not None
        await asyncio.sleep(0)  # viewers first
    return found, None if following is None else _written(Cursor(following))


async def _rest_of_user(store: Store, at: Cursor, filters: Filters) -> list[Session]:
    """The sessions of a user that the page before had no room for; none where another user's are asked for now."""
    if at.user_id is None or at.after is None or filters.user_id not in (None, at.user_id):
        return []
    page = await resolved(store.browse(None, 1, at.user_id, filters.stream_id, filters.state))
    return [session for session in page.sessions if _rank(session) > tuple(at.after) and filters.fits(session)]


def _parts(device: str | Device | None) -> tuple[str, ...]:
    """All names of a device: id, name, type."""
    if isinstance(device, Device):
        return tuple(part for part in (device.id, device.name, device.type) if part)
    return (device,) if device else ()


def _rank(session: Session) -> tuple[int, str]:
    """The rank of a session: the first seated comes first, as in the store's own order."""
    return session.generation, session.session_id


def _fields(filters: Filters) -> tuple[str | None, str | None, str | None]:
    return filters.user_id, filters.stream_id, filters.state


def _written(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read(text: str) -> Cursor:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise _forged() from error


def _forged() -> Problem:
    return wrong_field("cursor", "give the one of the page before")
