"""`streamlimit limit` and `limits`: a user's own limit, given, shown or removed; and all of them."""

import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from streamlimit.cli.flags import Where
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.remote import Remote, part
from streamlimit.cli.tables import print_table, shown
from streamlimit.document import rfc3339
from streamlimit.errors import SettingsError
from streamlimit.ids import wrong_with_id
from streamlimit.limiter import Limiter
from streamlimit.model import FOR_GOOD, OwnLimit, Terms
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.terms import BadTerms, terms_of

_SPAN = re.compile(r"(\d{1,4})([hd])")
COLUMNS = ("user", "streams", "until", "note")


class Wish(Struct, frozen=True):
    """The change of limits that the options ask for."""

    until: str | None = None
    note: str = ""
    removes: bool = False


def change_or_show(where: Where, user: str, max_sessions: int | None, wish: Wish) -> None:
    """Does what was asked for, and shows what holds then."""
    wrong = wrong_with_id(user)
    if wrong is not None:
        raise SettingsError("USER", wrong)
    if wish.removes and (max_sessions is not None or wish.until or wish.note):
        raise SettingsError("--remove", "takes no limit, no --until and no --note")
    if max_sessions is None and (wish.until or wish.note):
        raise SettingsError("--until, --note", "are of a limit: name that, too")
    terms = FOR_GOOD if max_sessions is None else _terms(wish)
    if isinstance(where, Remote):
        _ask(where, user, max_sessions, terms, wish.removes)
    else:
        _do(where, user, max_sessions, terms, wish.removes)


def show_all(where: Where, as_json: bool) -> None:
    """Every user with a limit of their own."""
    if isinstance(where, Remote):
        _print(list(where.pages("/v1/limits", "limits")), as_json)
        return

    async def work(limiter: Limiter) -> None:
        _print([_document(own) async for own in _limits(limiter)], as_json)

    on_limiter(where, work)


def until(text: str, now: datetime) -> datetime:
    """A time of RFC 3339, `tomorrow` (this time), or so many hours or days from *now*: `6h`, `3d`."""
    span = _SPAN.fullmatch("1d" if text == "tomorrow" else text)
    if span is not None:
        count = int(span[1])
        return now + (timedelta(hours=count) if span[2] == "h" else timedelta(days=count))
    try:
        end: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
        return end
    except msgspec.ValidationError as error:
        words = "no time of RFC 3339, as 2031-01-31T18:00:00Z, nor tomorrow, 6h or 3d"
        raise SettingsError("--until", f"{words}: {error}") from error


def _ask(remote: Remote, user: str, max_sessions: int | None, terms: Terms, removes: bool) -> None:
    path = f"/v1/users/{part(user)}/limit"
    if removes:
        remote.change("DELETE", path)
    elif max_sessions is not None:
        end = {} if terms.until_ms is None else {"until": rfc3339(terms.until_ms)}
        remote.change("PUT", path, {"max_sessions": max_sessions, "note": terms.note} | end)
    found = remote.get(path, None, "own", "max_sessions", "until", "note")
    print(_in_words(user, found if found["own"] else None, found["max_sessions"]))


def _do(settings: Settings, user: str, max_sessions: int | None, terms: Terms, removes: bool) -> None:
    async def work(limiter: Limiter) -> None:
        if removes or max_sessions is not None:
            await resolved(limiter.set_limit(user, max_sessions, terms))
        own = await resolved(limiter.store.own_limit(user))
        print(_in_words(user, None if own is None else _document(own), settings.max_sessions))

    on_limiter(settings, work)


def _terms(wish: Wish) -> Terms:
    now_ms = time.time_ns() // 1_000_000
    try:
        end = None if wish.until is None else until(wish.until, datetime.fromtimestamp(now_ms / 1_000, UTC))
        return terms_of(end, wish.note, now_ms)
    except BadTerms as error:
        raise SettingsError(f"--{error.field}", error.wrong) from error


def _document(own: OwnLimit) -> dict[str, Any]:
    end = own.terms.until_ms
    document = {"user_id": own.user_id, "max_sessions": own.max_sessions}
    return document | {"until": None if end is None else rfc3339(end), "note": own.terms.note}


async def _limits(limiter: Limiter) -> AsyncIterator[OwnLimit]:
    cursor: str | None = None
    is_more = True
    while is_more:
        page = await resolved(limiter.store.limits(cursor, 500))
        for own in page.limits:
            yield own
        cursor = page.cursor
        is_more = cursor is not None


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for own in found:
            print(msgspec.json.encode(own).decode())
    else:
        rows = [
            (shown(o["user_id"]), str(o["max_sessions"]), o["until"] or "for good", shown(o["note"])) for o in found
        ]
        print_table(COLUMNS, rows)


def _in_words(user: str, own: dict[str, Any] | None, default: int) -> str:
    if own is None:
        return f"{user} has no limit of their own; {default} unless a plan says otherwise"
    end = "" if own["until"] is None else f" until {own['until']}"
    return f"{user} {own['max_sessions']}{end}" + (f" ({own['note']})" if own["note"] else "")
