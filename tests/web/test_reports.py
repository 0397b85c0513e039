"""`GET /v1/reports` of a running service: how many users hit the limit, on which plans, in which hour."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from streamlimit.cli import app
from streamlimit.errors import StreamlimitError
from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until
from tests.web.provider import Provider, running_provider

SERVICE_KEY, READ_KEY = "service-key-of-the-tests", "read-key-of-the-tests"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One user of each plan was refused again and again; two never reached their limit, one of them was forgotten."""
    with running_provider() as provider, temporary_folder() as folder:
        settings = _settings(provider)
        with started(folder, segment_seconds=60, **settings) as service:
            _watch(service, "basic", ["ann"], screens=1)
            _watch(service, "hd", ["bob", "eve"], screens=2)
            _try_again(service, "basic", "ann")
            _try_again(service, "hd", "bob")
            _watch(service, "hd", ["=kim"], screens=1)
            assert service.call("DELETE", "/v1/users/eve", key=OPERATOR_KEY).status == 204
            yield service


def _settings(provider: Provider) -> dict[str, Any]:
    keys = {"service_keys": [SERVICE_KEY], "operator_read_keys": [READ_KEY]}
    return provider.settings() | {"plans": {"basic": 1, "hd": 2}, **keys}


def _open(service: Service, plan: str, user: str, session: str) -> int:
    device = {"type": "=tv" if session == "s0" else "phone"}
    form = {"user_id": user, "session_id": session, "stream_id": "aurora", "plan": plan, "device": device}
    return service.post("/v1/sessions", form, key=SERVICE_KEY).status


def _watch(service: Service, plan: str, users: list[str], screens: int) -> None:
    for user in users:
        assert [_open(service, plan, user, f"s{n}") for n in range(screens)] == [201] * screens


def _try_again(service: Service, plan: str, user: str) -> None:
    assert [_open(service, plan, user, "one-more") for _ in range(5)] == [409] * 5


def _report(service: Service, query: str = "", **more: Any) -> Any:
    answer = service.get(f"/v1/reports?{query}", **({"key": OPERATOR_KEY} | more))
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.parametrize("by", ["hour", "day", "month", "hour-of-day"])
def test_how_many_users_hit_the_limit_on_which_plans_in_which_hour(service: Service, by: str) -> None:
    rows = {row["plan"]: row for row in _report(service, f"by={by}&group=plan")["rows"]}
    numbers = ("admissions", "refusals", "refused_users", "users")
    assert {plan: [row[name] for name in numbers] for plan, row in rows.items()} == {
        "basic": [1, 5, 1, 1],
        "hd": [5, 5, 1, 3],
    }
    assert rows["basic"]["peak_live_sessions"] == 1
    assert (
        3 <= rows["hd"]["peak_live_sessions"] <= 5
    )  # bob's two and kim's; eve's, where anybody looked before they ended
    [total] = _report(service, f"by={by}")["rows"]
    assert [total[name] for name in numbers] == [6, 10, 2, 4]
    assert "plan" not in total


def test_who_sits_on_all_seats_is_at_the_limit_for_longer_and_longer(service: Service) -> None:
    def seconds() -> float:
        return float(sum(row["seconds_at_limit"] for row in _report(service, "group=plan")["rows"]))

    before = seconds()
    wait_until(lambda: seconds() > before, 20, "more seconds at the limit")


def test_a_row_has_a_time_its_group_and_what_the_api_promises(service: Service) -> None:
    report = _report(service, "group=device_type")
    assert {row["device_type"] for row in report["rows"]} == {"=tv", "phone"}
    for row in report["rows"]:
        assert list(row)[:2] == ["at", "device_type"]
        assert row["at"].endswith(":00:00.000Z")
    assert report["by"], report["group"] == ("hour", "device_type")


def test_one_command_asks_the_service(service: Service) -> None:
    asked = ["report", "--day", _report(service)["to"][:10], "--by", "plan,hour", "--url", service.url]
    told = CliRunner().invoke(app, asked, env={"STREAMLIMIT_KEY": READ_KEY})
    assert told.exit_code == 0, told.output
    lines = [line.split() for line in told.stdout.splitlines()]
    assert [line[:6] for line in lines[1:4]] == [
        ["all", "(all)", "2", "4", "10", "6"],
        ["all", "basic", "1", "1", "5", "1"],
        ["all", "hd", "1", "3", "5", "5"],
    ]
    assert [line[2] for line in lines[4:]] == ["basic", "hd"]
    refused = CliRunner().invoke(app, asked, env={"STREAMLIMIT_KEY": "a-key-of-nobody"})
    assert isinstance(refused.exception, StreamlimitError)
    assert "401" in str(refused.exception)
    assert "a-key-of-nobody" not in str(refused.exception)


def test_csv_is_what_a_spreadsheet_may_open(service: Service) -> None:
    answer = service.get("/v1/reports?group=device_type", key=READ_KEY, headers={"Accept": "text/csv, */*;q=0.1"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    names, *rows = csv.reader(io.StringIO(answer.body.decode(), newline=""))
    assert names[:3] == ["at", "device_type", "admissions"]
    assert {row[1] for row in rows} == {"'=tv", "phone"}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv"),
        ("text/csv;q=0", "application/json"),
        ("*/*", "application/json"),
        ("application/json, text/csv;q=0.5", "application/json"),
        ("text/csv;q=huh", "application/json"),
    ],
)
def test_csv_is_sent_to_who_asks_for_it(service: Service, accept: str, kind: str) -> None:
    answer = service.get("/v1/reports", key=OPERATOR_KEY, headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(kind)


def test_an_hour_that_is_not_over_is_shown_by_any_span_that_touches_it(service: Service) -> None:
    now = _report(service)["to"]
    assert len(_report(service, f"from={now}&to=2100-01-01")["rows"]) == 1
    assert len(_report(service, f"from={now[:10]}&to={now[:10]}&by=day")["rows"]) == 1
    assert _report(service, "from=2000-01-01&to=2001-01-01")["rows"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("to=", "to"),
        ("from=2026-01-02&to=2026-01-01", "to"),
        ("from=2999-01-01", "from"),
        ("by=week", "by"),
        ("group=user", "group"),
        ("group=stream&by=hour-of-day", "group"),
        (f"from={'1' * 100}", "from"),
    ],
)
def test_a_bad_question_is_told_which_field_is_wrong(service: Service, query: str, field: str) -> None:
    answer = service.get(f"/v1/reports?{query}", key=OPERATOR_KEY)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "malformed", field)


@pytest.mark.parametrize(("key", "status"), [(None, 401), (SERVICE_KEY, 403), (READ_KEY, 200), (OPERATOR_KEY, 200)])
def test_reports_are_for_operators_and_readers(service: Service, key: str | None, status: int) -> None:
    assert service.get("/v1/reports", key=key).status == status
