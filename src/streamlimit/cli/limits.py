"""`streamlimit limit` and `limits`: shows, sets or removes a user's own limit; lists all own limits."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from rich.text import Text

from streamlimit.cli.flags import Where, require_id
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.remote import Remote, part
from streamlimit.cli.tables import print_lines, print_table, shown
from streamlimit.document import limit_json, rfc3339, wall_ms
from streamlimit.errors import SettingsError
from streamlimit.limiter import Limiter
from streamlimit.model import FOR_GOOD, Terms
from streamlimit.settings import Settings
from streamlimit.store.contract import pages, resolved
from streamlimit.terms import BadTerms, terms_of

_SPAN = re.compile(r"(\d{1,4})([hd])")
COLUMNS = ("user", "streams", "until", "note")


class Wish(Struct, frozen=True):
    """The change of limits that the options ask for."""

    until: str | None = None
    note: str = ""
    removes: bool = False


def change_or_show(where: Where, user: str, max_sessions: int | None, wish: Wish) -> None:
    """Makes the wished change, and shows the limit that holds then."""
    require_id("USER", user)
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
    """Lists the users with a limit of their own."""
    found = list(where.pages("/v1/limits", "limits")) if isinstance(where, Remote) else on_limiter(where, _limits)
    if as_json:
        print_lines(found)
        return
    print_table(COLUMNS, map(_row, found))


def until(text: str, now: datetime) -> datetime:
    """The time in *text*: RFC 3339, `tomorrow` (at this time), or hours or days from *now*, such as `6h`, `3d`."""
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
        print(_in_words(user, None if own is None else limit_json(own, wall_ms()), settings.max_sessions))

    on_limiter(settings, work)


def _terms(wish: Wish) -> Terms:
    now_ms = wall_ms()
    try:
        end = None if wish.until is None else until(wish.until, datetime.fromtimestamp(now_ms / 1_000, UTC))
        return terms_of(end, wish.note, now_ms)
    except BadTerms as error:
        raise SettingsError(f"--{error.field}", error.wrong) from error


async def _limits(limiter: Limiter) -> list[dict[str, Any]]:
    listing = pages(lambda cursor: limiter.store.limits(cursor, 500))
    return [limit_json(own, wall_ms()) async for page in listing for own in page.limits]


def _row(own: dict[str, Any]) -> tuple[str | Text, ...]:
    return shown(own["user_id"]), str(own["max_sessions"]), own["until"] or "for good", shown(own["note"])


def _in_words(user: str, own: dict[str, Any] | None, default: int) -> str:
    if own is None:
        return f"{user} has no limit of their own; {default} unless a plan says otherwise"
    end = "" if own["until"] is None else f" until {own['until']}"
    return f"{user} {own['max_sessions']}{end}" + (f" ({own['note']})" if own["note"] else "")
