"""`streamlimit report`: the users who hit their limit, by plan and hour, as a table."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from rich.text import Text

from streamlimit.bootstrap.engine import engine_of
from streamlimit.cli.flags import Where
from streamlimit.cli.remote import Remote
from streamlimit.cli.tables import print_lines, print_table, shown
from streamlimit.document import rfc3339, wall_ms
from streamlimit.errors import SettingsError
from streamlimit.reporting.document import NUMBERS, as_csv, columns_of, row_json
from streamlimit.reporting.span import BadSpan, Now, Span, kept, month_of, span_of
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.store.reporting import Group, Period

MOST_ROWS = 20_000
COLUMNS = ("users refused", "users", "refusals", "admissions", "most at once", "hours at the limit")
KEPT_LONGEST = 3_650
"""Days that a report may cover: how long a remote service keeps reports is not known here."""

Rows = list[dict[str, Any]]
Fetch = Callable[[Period, Group, Span], Rows]


class Wish(Struct, frozen=True):
    """The report that the options ask for."""

    month: str | None = None
    day: str | None = None
    begin: str | None = None
    end: str | None = None
    by: str = ""
    csv: bool = False
    json: bool = False


def report(where: Where, wish: Wish) -> None:
    """Prints the report."""
    group, period, whole = _division(wish)
    try:
        span = _span(wish, period, Now(wall_ms(), KEPT_LONGEST if isinstance(where, Remote) else where.report_days))
    except BadSpan as error:
        raise SettingsError(error.field, error.wrong) from error
    fetch = _over_http(where) if isinstance(where, Remote) else _from_store(where)
    rows = fetch(period, group, span)
    if wish.json:
        print_lines(rows)
    elif wish.csv:
        print(as_csv(rows, columns_of(period, group)), end="")
    else:
        totals = _totals(fetch, period, whole, group, span)
        print_table(_columns(group), [*_table(totals, group), *_table(rows, group, period)])


def _division(wish: Wish) -> tuple[Group, Period, Period | None]:
    """The group, the period, and the period of the totals: distinct users of hours do not add up to a day's."""
    groups, periods = [], []
    for word in filter(None, (each.strip() for each in wish.by.split(","))):
        if word in (Group.PLAN, Group.STREAM, Group.DEVICE_TYPE):
            groups.append(Group(word))
        elif word in tuple(Period):
            periods.append(Period(word))
        else:
            known = ", ".join([*list(Group)[1:], *Period])
            raise SettingsError("--by", f"{word!r} is none of {known}")
    if len(groups) > 1 or len(periods) > 1:
        raise SettingsError("--by", "takes one of plan, stream, device_type and one of hour, day, month, hour-of-day")
    group, whole = groups[0] if groups else Group.ALL, Period.MONTH if wish.month else Period.DAY if wish.day else None
    period = periods[0] if periods else whole or Period.DAY
    if wish.month and period is Period.HOUR and group in (Group.ALL, Group.PLAN):
        period = Period.CLOCK
    if period is Period.CLOCK and group not in (Group.ALL, Group.PLAN):
        raise SettingsError("--by", "hour-of-day is kept for all users and by plan only")
    return group, period, whole


def _span(wish: Wish, period: Period, now: Now) -> Span:
    if (wish.month is not None) + (wish.day is not None) + bool(wish.begin or wish.end) > 1:
        raise SettingsError("--month, --day, --from", "take one of them")
    if wish.month is not None:
        return kept(*month_of(wish.month, "--month"), period, now, "--month")
    if wish.day is not None:
        return span_of(wish.day, wish.day, period, now, ("--day", "--day"))
    return span_of(wish.begin, wish.end, period, now, ("--from", "--to"))


def _over_http(service: Remote) -> Fetch:
    def fetch(period: Period, group: Group, span: Span) -> Rows:
        query = {"from": rfc3339(span.from_ms), "to": rfc3339(span.to_ms), "by": period.value}
        query |= {} if group is Group.ALL else {"group": group.value}
        rows: Rows = service.get("/v1/reports", query, "rows")["rows"]
        return rows

    return fetch


def _from_store(settings: Settings) -> Fetch:
    engine = engine_of(settings)
    engine.require_made()

    async def rows(period: Period, group: Group, span: Span) -> Rows:
        reports, _ = engine.reports()
        try:
            found = await resolved(reports.rows(period, group, *span.looked_at, MOST_ROWS + 1))
        finally:
            await resolved(reports.close())
        if len(found) > MOST_ROWS:
            raise SettingsError("--from", f"that are more than {MOST_ROWS} rows: ask for less time")
        return [row_json(row, period, group) for row in found]

    return lambda period, group, span: asyncio.run(rows(period, group, span))


def _totals(fetch: Fetch, period: Period, whole: Period | None, group: Group, span: Span) -> Rows:
    """The totals of all users, and of each value of the group, in the whole span, unless the rows are these."""
    if whole is None:
        return []
    everybody = [] if group is Group.ALL and period is whole else fetch(whole, Group.ALL, span)
    return everybody + (fetch(whole, group, span) if group is not Group.ALL and period is not whole else [])


def _columns(group: Group) -> list[str]:
    return ["when (UTC)", *([] if group is Group.ALL else [group.value.replace("_", " ")]), *COLUMNS]


def _table(rows: Iterable[dict[str, Any]], group: Group, period: Period | None = None) -> list[list[str | Text]]:
    return [[_when(row, period), *_of_group(row, group), *_numbers(row)] for row in rows]


def _of_group(row: dict[str, Any], group: Group) -> list[str | Text]:
    """The cells of a row's group; empty for a total."""
    if group is Group.ALL:
        return []
    return [shown(row[group] or "–") if group in row else "(all)"]


def _when(row: dict[str, Any], period: Period | None) -> str:
    """The time of a row, as short as the buckets allow; for a total, that of the whole span."""
    if period is None:
        return "all"
    if period is Period.CLOCK:
        return f"{row['hour']:02}:00–{row['hour'] + 1:02}:00"
    length = {Period.HOUR: len("2026-11-30T18:00"), Period.DAY: len("2026-11-30"), Period.MONTH: len("2026-11")}
    return str(row["at"])[: length[period]].replace("T", " ")


def _numbers(row: dict[str, Any]) -> list[str]:
    admissions, refusals, refused_users, users, peak, seconds = (row[name] for name in NUMBERS)
    whole = (refused_users, users, refusals, admissions, peak)
    return [*map(str, whole), f"{seconds / 3_600:.1f}"]
