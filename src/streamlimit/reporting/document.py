"""Reports as the JSON of `GET /v1/reports`, and as CSV for spreadsheets."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from streamlimit.document import rfc3339
from streamlimit.store.reporting import DAY_MS, HOUR_MS, NONE, Group, Period, Row

NUMBERS = ("admissions", "refusals", "refused_users", "users", "peak_live_sessions", "seconds_at_limit")

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")
"""First characters of formulas in spreadsheets: text that begins so gets an apostrophe in front."""


def columns_of(period: Period, group: Group) -> tuple[str, ...]:
    """The names of a row's fields, in their order."""
    hour = ("hour",) if period is Period.CLOCK else ()
    return ("at", *hour, *(() if group is Group.ALL else (group.value,)), *NUMBERS)


def row_json(row: Row, period: Period, group: Group) -> dict[str, Any]:
    """One row as JSON; no plan, or no type of device, is null."""
    numbers = (row.admissions, row.refusals, row.refused_users, row.users, row.peak, row.at_limit_ms / 1_000)
    at: dict[str, Any] = {"at": rfc3339(row.at_ms)}
    if period is Period.CLOCK:
        at["hour"] = row.at_ms % DAY_MS // HOUR_MS
    if group is not Group.ALL:
        at[group] = None if row.value == NONE else row.value
    return at | dict(zip(NUMBERS, numbers, strict=True))


def as_csv(rows: Iterable[dict[str, Any]], columns: Iterable[str]) -> str:
    """*rows* as CSV with a header line. Text of viewers cannot become a formula; null is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = list(columns)
    writer.writerow(names)
    writer.writerows([_harmless(row[name]) for name in names] for row in rows)
    return text.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
