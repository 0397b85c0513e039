"""`streamlimit limit`: a user's own limit, given, shown or taken away."""

import time
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from streamlimit.cli.limiter import on_limiter
from streamlimit.document import rfc3339
from streamlimit.errors import SettingsError
from streamlimit.ids import wrong_with_id
from streamlimit.limiter import Limiter
from streamlimit.model import FOR_GOOD, OwnLimit, Terms
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.terms import BadTerms, terms_of


class Wish(Struct, frozen=True):
    """What the options say."""

    until: str | None = None
    note: str = ""
    removes: bool = False


def change_or_show(settings: Settings, user: str, max_sessions: int | None, wish: Wish) -> None:
    """Does what was asked for, and shows what holds then."""
    wrong = wrong_with_id(user)
    if wrong is not None:
        raise SettingsError("USER", wrong)
    if wish.removes and (max_sessions is not None or wish.until or wish.note):
        raise SettingsError("--remove", "takes no limit, no --until and no --note")
    if max_sessions is None and (wish.until or wish.note):
        raise SettingsError("--until, --note", "are of a limit: name that, too")
    terms = FOR_GOOD if max_sessions is None else _terms(wish)

    async def work(limiter: Limiter) -> None:
        if wish.removes or max_sessions is not None:
            await resolved(limiter.set_limit(user, max_sessions, terms))
        print(_told(user, await resolved(limiter.store.own_limit(user)), settings.max_sessions))

    on_limiter(settings, work)


def _terms(wish: Wish) -> Terms:
    try:
        until = None if wish.until is None else msgspec.convert(wish.until, Annotated[datetime, Meta(tz=True)])
        return terms_of(until, wish.note, time.time_ns() // 1_000_000)
    except msgspec.ValidationError as error:
        raise SettingsError("--until", f"no time of RFC 3339, as 2031-01-31T18:00:00Z: {error}") from error
    except BadTerms as error:
        raise SettingsError(f"--{error.field}", error.wrong) from error


def _told(user: str, own: OwnLimit | None, default: int) -> str:
    if own is None:
        return f"{user} has no limit of their own; {default} unless a plan says otherwise"
    terms = own.terms
    until = "" if terms.until_ms is None else f" until {rfc3339(terms.until_ms)}"
    return f"{user} {own.max_sessions}{until}" + (f" ({terms.note})" if terms.note else "")
