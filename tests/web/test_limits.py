"""The operator's calls: limits changed while viewers watch, live sessions by page, terminations, numbers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.service import OPERATOR_KEY, Answer, Service, service_of_file, started, temporary_folder, wait_until

X = 0.4
N = 3

service = service_of_file(workers=2)
"""Two workers, so that nothing below holds only within one."""

hasty = service_of_file(segment_seconds=X, missed_segments=N)
"""One whose n·X passes while a test waits."""


def _beat(service: Service, user: str, session: str, stream: str = "orchard") -> Answer:
    return service.post(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": stream})


def _seat(service: Service, user: str, sessions: str, stream: str = "orchard") -> None:
    for session in sessions:
        assert _beat(service, user, session, stream).status == 200


def _limit(service: Service, user: str, max_sessions: int) -> dict[str, Any]:
    path = f"/v1/users/{user}/limit"
    answer = service.call("PUT", path, {"max_sessions": max_sessions}, key=OPERATOR_KEY)
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


def _counts(service: Service, user: str) -> tuple[int, int]:
    told = service.watching(user)
    assert told["live_sessions"] == len(told["sessions"])
    return told["limit"], told["live_sessions"]


# The limit of their own


def test_lowered_below_those_who_sit_nobody_is_refused_and_the_counts_are_true_at_once(
    service: Service, user: str
) -> None:
    _seat(service, user, "abc")
    told = _limit(service, user, 1)
    assert {"user_id": user, "max_sessions": 1, "own": True, "source": "own"}.items() <= told.items()
    assert _counts(service, user) == (1, 3)
    for _ in range(3):
        _seat(service, user, "abc")
    issued = service.segment(user, "a", "clock")  # also while it moves
    assert (issued.status, issued.headers["streamlimit-limit"], issued.headers["streamlimit-live-sessions"]) == (
        200, "1", "3",
    )  # fmt: skip
    refused = _beat(service, user, "d")
    assert (refused.status, refused.json["limit"], refused.json["live_sessions"]) == (409, 1, 3)
    assert {s["session_id"] for s in refused.json["sessions"]} == {"a", "b", "c"}


def test_after_lowering_a_seat_only_comes_free_below_the_new_limit(service: Service, user: str) -> None:
    _seat(service, user, "abc")
    _limit(service, user, 2)
    assert service.post(f"/v1/users/{user}/sessions/a/end").status == 204
    assert _counts(service, user) == (2, 2)
    assert _beat(service, user, "d").status == 409  # two still sit
    assert service.post(f"/v1/users/{user}/sessions/b/end").status == 204
    assert _beat(service, user, "d").status == 200
    assert _beat(service, user, "a").status == 409  # who ended is a new one


def test_raised_the_next_one_is_welcome_at_once(service: Service, user: str) -> None:
    _seat(service, user, "abc")
    assert _beat(service, user, "d").status == 409
    _limit(service, user, 5)
    _seat(service, user, "de")
    assert _counts(service, user) == (5, 5)
    assert _beat(service, user, "f").status == 409


def test_removed_the_services_limit_holds_again_and_nobody_who_sits_is_refused(service: Service, user: str) -> None:
    _limit(service, user, 5)
    _seat(service, user, "abcde")
    for _ in range(2):  # again is the same
        assert service.call("DELETE", f"/v1/users/{user}/limit", key=OPERATOR_KEY).status == 204
    told = service.get(f"/v1/users/{user}/limit", key=OPERATOR_KEY).json
    assert {"user_id": user, "max_sessions": 3, "own": False, "source": "max_sessions"}.items() <= told.items()
    assert _counts(service, user) == (3, 5)
    _seat(service, user, "abcde")
    assert _beat(service, user, "f").status == 409


def test_one_users_limit_is_nobody_elses(service: Service, user: str) -> None:
    _limit(service, user, 1)
    _seat(service, user, "a")
    _seat(service, "another-" + user, "abc")
    assert _beat(service, user, "b").status == 409


def test_lowering_during_a_race_for_seats_never_seats_more_than_the_highest_limit(service: Service, user: str) -> None:
    """Whatever order they come in: who got 200 sits, and goes on."""
    _limit(service, user, 4)
    with ThreadPoolExecutor(8) as pool:
        beats = [pool.submit(_beat, service, user, f"s{n}") for n in range(12)]
        lowered = pool.submit(_limit, service, user, 2)
        seated = [n for n, beat in enumerate(beats) if beat.result().status == 200]
    assert lowered.result()["max_sessions"] == 2
    assert len(seated) in (2, 3, 4)
    assert _counts(service, user) == (2, len(seated))
    assert {_beat(service, user, f"s{n}").status for n in seated} == {200}


@pytest.mark.parametrize("body", [{}, {"max_sessions": 0}, {"max_sessions": 65}, {"max_sessions": "3"},
                                  {"max_sessions": 3, "more": 1}, {"max_sessions": True}, []])  # fmt: skip
def test_a_bad_limit_changes_nothing(service: Service, user: str, body: Any) -> None:
    answer = service.call("PUT", f"/v1/users/{user}/limit", body, key=OPERATOR_KEY)
    assert (answer.status, answer.json["code"]) == (400, "malformed")
    assert not service.get(f"/v1/users/{user}/limit", key=OPERATOR_KEY).json["own"]


def _until(seconds: float) -> str:
    """So many seconds from now, as JSON has it."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_limit_holds_until_then_and_is_told_with_its_note(service: Service, user: str) -> None:
    path, until = f"/v1/users/{user}/limit", _until(3600)
    body = {"max_sessions": 1, "until": until, "note": "ticket 4711 ☂"}
    told = service.call("PUT", path, body, key=OPERATOR_KEY).json
    assert told == service.get(path, key=OPERATOR_KEY).json
    assert (told["max_sessions"], told["until"], told["note"], told["own"]) == (1, until, "ticket 4711 ☂", True)
    _seat(service, user, "a")
    assert _beat(service, user, "b").status == 409
    told = service.call("PUT", path, {"max_sessions": 1, "until": _until(0.5)}, key=OPERATOR_KEY).json
    assert told["note"] == ""
    wait_until(lambda: _beat(service, user, "b").status == 200, 10, "the end of the limit")
    told = service.get(path, key=OPERATOR_KEY).json
    assert (told["max_sessions"], told["until"], told["note"], told["own"]) == (3, None, "", False)


def test_an_end_with_another_offset_is_the_same_moment(service: Service, user: str) -> None:
    body = {"max_sessions": 1, "until": "2099-12-31T23:59:59.9994+05:30"}
    told = service.call("PUT", f"/v1/users/{user}/limit", body, key=OPERATOR_KEY).json
    assert told["until"] == "2099-12-31T18:29:59.999Z"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("until", text) for text in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00", "2099-01-01", "tomorrow", "")],
        *[
            ("until", other)
            for other in (4_000_000_000, True, "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00")
        ],
        *[("note", text) for text in ("x" * 201, "two\nlines", "\x7f", "\u2028", 7, None)],
    ],
)
def test_a_bad_end_or_note_is_malformed_and_changes_nothing(
    service: Service, user: str, field: str, value: object
) -> None:
    answer = service.call("PUT", f"/v1/users/{user}/limit", {"max_sessions": 2, field: value}, key=OPERATOR_KEY)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "malformed", field)
    assert not service.get(f"/v1/users/{user}/limit", key=OPERATOR_KEY).json["own"]


def test_all_users_with_a_limit_of_their_own_page_by_page(service: Service, user: str) -> None:
    users = [f"{user}-{number}" for number in range(5)]
    for number, each in enumerate(users):
        _limit(service, each, number + 1)
    service.call("DELETE", f"/v1/users/{users[0]}/limit", key=OPERATOR_KEY)
    found, cursor = list[dict[str, Any]](), ""
    while True:
        page = service.get(f"/v1/limits?limit=2{cursor}", key=OPERATOR_KEY).json
        found += page["limits"]
        if page["cursor"] is None:
            break
        assert len(page["limits"]) == 2
        cursor = "&cursor=" + page["cursor"]
    ours = [own for own in found if own["user_id"].startswith(user)]
    expected = [{"user_id": u, "max_sessions": n + 1, "until": None, "note": ""} for n, u in enumerate(users) if n]
    assert sorted(ours, key=lambda own: str(own["user_id"])) == expected
    for query, field in (("cursor=nonsense", "cursor"), ("limit=0", "limit"), ("limit=1001", "limit")):
        answer = service.get(f"/v1/limits?{query}", key=OPERATOR_KEY)
        assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "malformed", field)


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_limits_are_for_operators(service: Service, user: str, method: str) -> None:
    body = {"max_sessions": 9} if method == "PUT" else None
    assert service.call(method, f"/v1/users/{user}/limit", body).status == 401


# Taken back


@pytest.mark.parametrize("which", ["/a", ""])
def test_a_terminated_session_may_be_let_back_in_at_once(service: Service, user: str, which: str) -> None:
    _seat(service, user, "a")
    path = f"/v1/users/{user}/terminations{which}"
    assert service.call("DELETE", path, key=OPERATOR_KEY).status == 204, "also when there is none"
    assert service.call("DELETE", f"/v1/users/{user}/sessions/a", key=OPERATOR_KEY).status == 204
    assert _beat(service, user, "a").status == 410
    for _ in range(2):
        assert service.call("DELETE", path, key=OPERATOR_KEY).status == 204
    assert _beat(service, user, "a").status == 200
    assert service.call("DELETE", path + "/b/c", key=OPERATOR_KEY).status == 404


def test_one_that_hammered_after_its_termination_is_let_back_in_too(hasty: Service, user: str) -> None:
    _seat(hasty, user, "a")
    hasty.call("DELETE", f"/v1/users/{user}/sessions/a", key=OPERATOR_KEY)
    for _ in range(60):
        told = _beat(hasty, user, "a")
    assert told.status in (410, 429)
    hasty.call("DELETE", f"/v1/users/{user}/terminations/a", key=OPERATOR_KEY)
    assert _beat(hasty, user, "a").status == 200


def test_a_grant_of_a_terminated_session_works_again(service: Service, user: str) -> None:
    form = {"user_id": user, "session_id": "a", "stream_id": "orchard"}
    grant = service.post("/v1/sessions", form).json["grant"]
    path = f"/v1/users/{user}/sessions/a/heartbeat"
    service.call("DELETE", f"/v1/users/{user}/sessions/a", key=OPERATOR_KEY)
    assert service.post(path, {"stream_id": "orchard"}, key=grant).status == 410
    service.call("DELETE", f"/v1/users/{user}/terminations", key=OPERATOR_KEY)
    assert service.post(path, {"stream_id": "orchard"}, key=grant).status == 200


def test_a_forgotten_user_is_as_one_who_never_was(service: Service, user: str) -> None:
    _limit(service, user, 1)
    form = {"user_id": user, "session_id": "a", "stream_id": "orchard"}
    grant = service.post("/v1/sessions", form).json["grant"]
    _seat(service, user, "a")
    for _ in range(2):
        assert service.call("DELETE", f"/v1/users/{user}", key=OPERATOR_KEY).status == 204
    assert _counts(service, user) == (3, 0)
    assert not service.get(f"/v1/users/{user}/limit", key=OPERATOR_KEY).json["own"]
    beaten = service.post(f"/v1/users/{user}/sessions/a/heartbeat", {"stream_id": "orchard"}, key=grant)
    assert (beaten.status, beaten.json["code"]) == (401, "unauthenticated")
    _seat(service, user, "abc")


# Who sits, page by page


def _pages(service: Service, query: str) -> list[list[dict[str, Any]]]:
    """Every page of the listing."""
    pages, cursor = [], ""
    while True:
        answer = service.get(f"/v1/sessions?{query}{cursor}", key=OPERATOR_KEY)
        assert answer.status == 200, answer.body
        assert answer.json.keys() == {"sessions", "cursor"}
        pages.append(answer.json["sessions"])
        if answer.json["cursor"] is None:
            return pages
        cursor = "&cursor=" + answer.json["cursor"]


@pytest.fixture(scope="module")
def crowd() -> Iterator[Service]:
    """Ten users with three sessions each (two of `orchard`, one of `clock`), and one with a reservation only."""
    with temporary_folder() as folder, started(folder, segment_seconds=60) as service:
        for number in range(10):
            _seat(service, f"u{number}", "ab")
            _seat(service, f"u{number}", "c", "clock")
        form = {"user_id": "late", "session_id": "r", "stream_id": "clock"}
        assert service.post("/v1/sessions", form).status == 201
        yield service


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 30, 31, 100])
def test_each_page_has_exactly_as_many_as_asked_for_and_none_is_missing_or_twice(crowd: Service, limit: int) -> None:
    pages = _pages(crowd, f"limit={limit}")
    assert {len(page) for page in pages[:-1]} <= {limit}
    assert len(pages[-1]) <= limit
    found = [(s["user_id"], s["session_id"]) for page in pages for s in page]
    everyone = {(f"u{n}", s) for n in range(10) for s in "abc"} | {("late", "r")}
    assert len(found) == len(set(found))
    assert set(found) == everyone


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("user_id=u3", 3),
        ("stream_id=clock", 11),
        ("state=starting", 1),
        ("state=active", 30),
        ("state=idle", 0),
        ("user_id=u3&stream_id=clock", 1),
        ("user_id=nobody", 0),
        ("stream_id=clock&state=active", 10),
    ],
)
@pytest.mark.parametrize("limit", [1, 4, 100])
def test_filters(crowd: Service, query: str, count: int, limit: int) -> None:
    sessions = [session for page in _pages(crowd, f"{query}&limit={limit}") for session in page]
    assert len(sessions) == count
    wanted = dict(part.split("=") for part in query.split("&"))
    assert all(session[name] == value for session in sessions for name, value in wanted.items())


def test_a_cursor_between_two_sessions_of_a_user_shows_them_to_no_question_for_another(crowd: Service) -> None:
    page = crowd.get("/v1/sessions?limit=2", key=OPERATOR_KEY).json  # behind the only session of `late`
    assert [session["session_id"] for session in page["sessions"]] == ["r", "a"]
    rest = f"/v1/sessions?cursor={page['cursor']}"
    assert crowd.get(rest, key=OPERATOR_KEY).json["sessions"][0]["user_id"] == "u0"
    found = crowd.get(f"{rest}&user_id=u7", key=OPERATOR_KEY).json["sessions"]
    assert {session["user_id"] for session in found} == {"u7"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cursor=nonsense", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
        ("cursor=bnVsbA", "cursor"),
        ("cursor=W10", "cursor"),
        ("cursor=" + "A" * 3_000, "cursor"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("state=gone", "state"),
        ("user_id=%0A", "user_id"),
    ],
)
def test_a_bad_question_is_malformed_and_names_the_field(crowd: Service, query: str, field: str) -> None:
    answer = crowd.get(f"/v1/sessions?{query}", key=OPERATOR_KEY)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "malformed", field)


# Sent away


def test_a_terminated_session_is_told_who_why_and_when_by_every_call(hasty: Service, user: str) -> None:
    _seat(hasty, user, "ab")
    answer = hasty.call("DELETE", f"/v1/users/{user}/sessions/a?reason=payment+is+due", key=OPERATOR_KEY)
    assert answer.status == 204
    form = {"user_id": user, "session_id": "a", "stream_id": "orchard"}
    for told in (_beat(hasty, user, "a"), hasty.segment(user, "a", "orchard"), hasty.post("/v1/sessions", form)):
        assert (told.status, told.json["code"]) == (410, "session-terminated")
        assert (told.json["by"], told.json["reason"]) == ("operator", "payment is due")
        assert told.json["at"].endswith("Z")
    assert _beat(hasty, user, "b").status == 200


def test_all_of_a_user_are_sent_away_at_once(hasty: Service, user: str) -> None:
    _seat(hasty, user, "abc")
    assert hasty.call("DELETE", f"/v1/users/{user}/sessions?reason=moved", key=OPERATOR_KEY).status == 204
    assert _counts(hasty, user) == (3, 0)
    assert {_beat(hasty, user, session).status for session in "abc"} == {410}
    assert _beat(hasty, user, "d").status == 200  # the user is not locked out, their old sessions are


def test_it_is_forgiven_after_n_x_of_silence_and_not_while_it_knocks(hasty: Service, user: str) -> None:
    _seat(hasty, user, "a")
    hasty.call("DELETE", f"/v1/users/{user}/sessions/a", key=OPERATOR_KEY)
    for _ in range(2 * N):
        assert _beat(hasty, user, "a").status == 410
        _silence(X)
    _silence((N + 0.5) * X)
    assert _beat(hasty, user, "a").status == 200


def _silence(seconds: float) -> None:
    """The player does nothing: what is tested here is time itself."""
    time.sleep(seconds)


# Numbers


def _metrics(service: Service) -> dict[str, float]:
    """Name and labels -> value, as Prometheus' own reader understands the page."""
    answer = service.get("/metrics", key=OPERATOR_KEY)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation
        for sample in family.samples:
            key = sample.name + "".join(f"/{value}" for _, value in sorted(sample.labels.items()))
            assert key not in found, f"{key} stands there twice"
            found[key] = sample.value
    return found


def test_the_metrics_of_two_workers_are_one_sum(service: Service, user: str) -> None:
    before = _metrics(service)
    _seat(service, user, "abc")
    for _ in range(5):  # each on a connection of its own, so now one worker answers and now the other
        _seat(service, user, "abc")
        assert _beat(service, user, "d").status == 409

    def grown(name: str) -> float:
        return _metrics(service).get(name, 0) - before.get(name, 0)

    wait_until(lambda: grown("streamlimit_refusals_total/session-limit") == 5, 10, "both workers' numbers")
    wait_until(lambda: grown("streamlimit_admissions_total") == 18, 10, "both workers' numbers")
    assert grown("streamlimit_confirmations_total") == 18
    assert grown("streamlimit_events_total/session.started") == 3
    assert grown("streamlimit_problems_total/session-limit") == 5


def test_the_stats_are_the_counts_with_their_age(crowd: Service) -> None:
    def stats() -> dict[str, Any]:
        answer = crowd.get("/v1/stats", key=OPERATOR_KEY)
        assert answer.status == 200
        found: dict[str, Any] = answer.json
        return found

    wait_until(lambda: stats()["sessions"] is not None, 10, "the first background count")
    told = stats()
    assert told["sessions"] == {"starting": 1, "active": 30, "idle": 0}
    assert told["users"] == 11
    assert told["streams"] == {"orchard": 20, "clock": 11}
    assert 0 <= told["counted_seconds_ago"] < 60
    assert told["admissions"] >= 31
    assert told["confirmations"] >= 30
    assert told["callbacks"] == {"pending": 0, "attempts": {}, "dropped": {}}
    assert told["store"]["away"] is False
    assert 0 <= told["store"]["latency_ms"] < 1_000
    metrics = _metrics(crowd)
    assert metrics["streamlimit_sessions/active"] == 30
    assert metrics["streamlimit_users"] == 11
    assert metrics["streamlimit_stream_sessions/orchard"] == 20
    assert metrics["streamlimit_admissions_total"] == told["admissions"]


@pytest.mark.parametrize("path", ["/v1/stats", "/v1/sessions"])
def test_numbers_about_everyone_are_not_for_everyone(service: Service, path: str) -> None:
    assert service.get(path).status == 401
