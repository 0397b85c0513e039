"""`streamlimit report` on the store of the settings."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from streamlimit.cli import app
from streamlimit.errors import SettingsError, StreamlimitError
from streamlimit.reporting import span
from streamlimit.reporting.counts import ALL, Part
from streamlimit.store.reporting import DAY_MS, HOUR_MS, Batch, Count, Group, floor_of
from streamlimit.store.reporting import Period as By
from streamlimit.store.sqlite import SqliteReports
from tests.store.reports_contract import at, digests

NOON = at("2026-11-14T12:00")
BASIC, HD = (Group.PLAN, "basic"), (Group.PLAN, "\x1b[31mhd")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann hit her limit at eight on two evenings, bob on one at nine."""
    path = tmp_path_factory.mktemp("report") / "streamlimit.db"
    reports = SqliteReports(str(path))
    evenings: Part = {}
    for day in (0, 1):
        ann = Count(1, 3, 1_800_000, 2, digests("ann"), digests("ann"))
        evenings[NOON + day * DAY_MS + 8 * HOUR_MS] = {ALL: ann, BASIC: ann}
    bob = Count(1, 1, 0, 1, digests("bob"), digests("bob"))
    evenings[NOON + 9 * HOUR_MS] = {ALL: bob, HD: bob}
    reports.add(Batch("w", 1, evenings))
    reports.close()
    return path


@pytest.fixture
def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("streamlimit.cli.report.wall_ms", lambda: at("2026-12-30T12:00"))

    def run_it(*options: str, **env: str) -> Result:
        env = {"STREAMLIMIT_STORE": f"sqlite:///{path}", "STREAMLIMIT_URL": ""} | env
        return CliRunner().invoke(app, ["report", *options], env=env)

    return run_it


def lines_of(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]


def test_one_command_tells_how_many_hit_the_limit_last_month_on_which_plans_at_what_hour(run: Run) -> None:
    head, *lines = lines_of(run("--month", "2026-11", "--by", "plan,hour"))
    assert " ".join(head) == "when (UTC) plan users refused users refusals admissions most at once hours at the limit"
    assert lines == [
        ["all", "(all)", "2", "2", "7", "3", "2", "1.0"],
        ["all", "\N{REPLACEMENT CHARACTER}[31mhd", "1", "1", "1", "1", "1", "0.0"],
        ["all", "basic", "1", "1", "6", "2", "2", "1.0"],
        ["20:00–21:00", "basic", "1", "1", "6", "2", "2", "1.0"],
        ["21:00–22:00", "\N{REPLACEMENT CHARACTER}[31mhd", "1", "1", "1", "1", "1", "0.0"],
    ]


@pytest.mark.parametrize(
    ("options", "whens"),
    [
        (("--month", "2026-11"), ["2026-11"]),
        (("--month", "2026-11", "--by", "hour"), ["all", "20:00–21:00", "21:00–22:00"]),
        (("--month", "2026-11", "--by", "day"), ["all", "2026-11-14", "2026-11-15"]),
        (("--month", "2026-11", "--by", "plan"), ["all", "2026-11", "2026-11"]),
        (("--day", "2026-11-14", "--by", "hour"), ["all", "2026-11-14 20:00", "2026-11-14 21:00"]),
        (("--from", "2026-11-14T20:30:00Z", "--to", "2026-11-14T21:00:00Z", "--by", "hour"), ["2026-11-14 20:00"]),
        (
            (
                "--from",
                "2026-11-15",
            ),
            ["2026-11-15"],
        ),
        (("--month", "2026-10"), []),
    ],
)
def test_rows_are_of_the_time_that_was_asked_for(run: Run, options: tuple[str, ...], whens: list[str]) -> None:
    _, *rows = run(*options).stdout.splitlines()
    assert [row[:17].split("  ")[0].strip() for row in rows] == whens


def test_the_rows_without_totals_as_json_and_as_csv(run: Run) -> None:
    told = run("--month", "2026-11", "--by", "plan,hour", "--json").stdout.splitlines()
    assert [(row["hour"], row["plan"], row["refused_users"]) for row in map(json.loads, told)] == [
        (20, "basic", 1),
        (21, "\x1b[31mhd", 1),
    ]
    text = run("--month", "2026-11", "--by", "hour", "--csv").stdout
    names, *rows = csv.reader(io.StringIO(text, newline=""))
    assert (names[:2], [row[1] for row in rows]) == (["at", "hour"], ["20", "21"])
    assert run("--month", "2026-10", "--json").stdout == ""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--month", "November"), "--month"),
        (("--day", "2026-11-31"), "--day"),
        (("--from", "yesterday"), "--from"),
        (("--to", "2026-1-1"), "--to"),
        (("--month", "2026-11", "--day", "2026-11-14"), "--month, --day, --from"),
        (("--by", "plan,stream"), "--by"),
        (("--by", "country"), "--by"),
        (("--by", "stream,hour-of-day"), "--by"),
        (("--url", "nowhere"), "--url"),
    ],
)
def test_what_cannot_be_meant_is_told_by_its_name(run: Run, options: tuple[str, ...], named: str) -> None:
    error = run(*options).exception
    assert isinstance(error, SettingsError)
    assert error.name == named


def test_where_there_is_no_store_or_no_service_it_says_so_and_makes_nothing(run: Run, tmp_path: Path) -> None:
    nothing = tmp_path / "none.db"
    error = run(STREAMLIMIT_STORE=f"sqlite:///{nothing}").exception
    assert isinstance(error, StreamlimitError)
    assert not nothing.exists()
    error = run("--url", "http://127.0.0.1:9").exception
    assert isinstance(error, StreamlimitError)
    assert "no answer" in str(error)


def test_a_month_that_is_longer_than_reports_are_kept_is_no_error(run: Run) -> None:
    assert lines_of(run("--month", "2020-01", "--by", "hour"))[1:] == []
    assert floor_of(By.MONTH, at("2020-01-31T00:00")) == span.month_of("2020-01", "--month")[0]
