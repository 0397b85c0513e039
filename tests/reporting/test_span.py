"""Which time a report is of, and how it is written."""

import csv
import io

import pytest

from streamlimit.reporting.document import as_csv, columns_of, row_json
from streamlimit.reporting.span import MOST_BUCKETS, BadSpan, Now, month_of, span_of
from streamlimit.store.reporting import DAY_MS, Group, Period, Row, buckets
from tests.store.reports_contract import at

NOW = Now(at("2026-11-30T12:34:56"), 400)


@pytest.mark.parametrize(
    ("begin", "end", "wanted"),
    [
        ("2026-11-01", "2026-11-30", ("2026-11-01T00:00", "2026-12-01T00:00")),
        ("2026-11-30", "2026-11-30", ("2026-11-30T00:00", "2026-12-01T00:00")),
        ("2026-11-01T20:00:00Z", "2026-11-01T21:00:00.000z", ("2026-11-01T20:00", "2026-11-01T21:00")),
        ("2026-11-01T20:00:00+02:00", "2026-11-01T20:00:00-02:00", ("2026-11-01T18:00", "2026-11-01T22:00")),
        ("2026-11-01T20:00:00 02:00", "2026-11-01 21:00:00Z", ("2026-11-01T18:00", "2026-11-01T21:00")),
    ],
)
def test_dates_and_moments_are_understood(begin: str, end: str, wanted: tuple[str, str]) -> None:
    span = span_of(begin, end, Period.HOUR, NOW)
    assert (span.from_ms, span.to_ms) == tuple(map(at, wanted))


@pytest.mark.parametrize(("period", "days"), [(Period.HOUR, 1), (Period.DAY, 31), (Period.MONTH, 366)])
def test_by_itself_a_report_ends_now(period: Period, days: int) -> None:
    span = span_of(None, None, period, NOW)
    assert (span.from_ms, span.to_ms) == (NOW.now_ms + 1 - days * DAY_MS, NOW.now_ms + 1)


@pytest.mark.parametrize(
    ("begin", "end", "field"),
    [
        ("yesterday", None, "from"),
        (None, "2026-13-01", "to"),
        (None, "2026-02-30", "to"),
        (None, "2026-11-30T25:00:00Z", "to"),
        (None, "2026-11-30T18:00:00", "to"),
        ("", None, "from"),
        ("20261130", None, "from"),
        ("٢٠٢٦-11-30", None, "from"),
        ("2026-11-30\n", None, "from"),
        ("0001-01-01", None, "from"),
        ("9999-12-31", None, "from"),
        ("2026-12-01", None, "from"),
        ("2026-11-02", "2026-11-01", "to"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "to"),
    ],
)
def test_what_is_no_time_is_refused_by_its_name(begin: str | None, end: str | None, field: str) -> None:
    with pytest.raises(BadSpan) as error:
        span_of(begin, end, Period.HOUR, NOW)
    assert error.value.field == field


def test_only_what_may_be_kept_is_looked_at_and_never_too_much() -> None:
    span = span_of("2000-01-01", "2100-01-01", Period.HOUR, NOW)
    assert span.looked_at[1] == NOW.now_ms + 1
    assert len(list(buckets(Period.HOUR, *span.looked_at))) <= 400 * 24 + 2 <= MOST_BUCKETS
    with pytest.raises(BadSpan):
        span_of("2000-01-01", None, Period.HOUR, Now(NOW.now_ms, 3_650))
    assert span_of("2000-01-01", "2001-01-01", Period.DAY, NOW).looked_at[0] > at("2001-01-02T00:00")


def test_a_month_is_a_month() -> None:
    assert month_of("2026-12", "--month") == (at("2026-12-01T00:00"), at("2027-01-01T00:00"))
    for wrong in ("2026", "2026-13", "2026-00", "11-2026", "2026-1", "2026-011"):
        with pytest.raises(BadSpan, match="no month, as 2026-11"):
            month_of(wrong, "--month")


def test_a_row_tells_what_the_api_promises() -> None:
    row = Row(at("2026-11-01T20:00"), "hd", 5, 4, 3, 2, 6, 1_500)
    assert row_json(row, Period.HOUR, Group.PLAN) == {
        "at": "2026-11-01T20:00:00.000Z",
        "plan": "hd",
        "admissions": 5,
        "refusals": 4,
        "refused_users": 3,
        "users": 2,
        "peak_live_sessions": 6,
        "seconds_at_limit": 1.5,
    }
    assert "plan" not in row_json(row, Period.HOUR, Group.ALL)
    assert row_json(row, Period.CLOCK, Group.ALL)["hour"] == 20


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1"])
def test_no_value_is_a_formula_to_a_spreadsheet(name: str) -> None:
    row = Row(0, name, 1, 0, 0, 0, 0, 0)
    text = as_csv([row_json(row, Period.HOUR, Group.STREAM)], columns_of(Period.HOUR, Group.STREAM))
    [_, found] = csv.reader(io.StringIO(text, newline=""))
    assert found[1] == "'" + name


def test_any_other_value_is_read_back_as_it_was() -> None:
    names = ['a "b", c', "línea\nnueva", "a=b", "", "1;2"]
    rows = [row_json(Row(0, name, 1, 0, 0, 0, 0, 0), Period.HOUR, Group.STREAM) for name in names]
    found = csv.reader(io.StringIO(as_csv(rows, columns_of(Period.HOUR, Group.STREAM)), newline=""))
    assert [row[1] for row in found] == ["stream", *names]
