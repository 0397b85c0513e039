"""The brief's user stories and assumptions, each as one test against a started server: X is short, n is 3."""

import secrets
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until

X = 0.5
N = 3
PATIENCE = 10  # seconds; far more than any test needs


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Without the built-in sweep: who expires sessions here is Endpoint 2 alone."""
    with temporary_folder() as folder:
        settings = {"segment_seconds": X, "missed_segments": N, "start_seconds": 5, "sweep_seconds": 0}
        with started(folder, **settings) as service:
            yield service


# User stories


def test_as_a_user_with_no_current_session_i_request_a_first_session(service: Service, user: str) -> None:
    assert service.watching(user)["live_sessions"] == 0

    answer = service.segment(user, "phone", "orchard")

    assert answer.status == 200
    assert answer.headers["streamlimit-sequence"] == "0"
    assert _sessions(service, user) == {"phone": "orchard"}


def test_as_a_user_streaming_z_i_fetch_another_phase_of_that_stream(service: Service, user: str) -> None:
    first = service.segment(user, "phone", "orchard")
    second = service.segment(user, "phone", "orchard")

    assert (first.status, second.status) == (200, 200)
    assert second.headers["streamlimit-sequence"] == "1"
    assert second.body != first.body
    assert _sessions(service, user) == {"phone": "orchard"}


def test_as_a_user_with_less_than_3_sessions_i_request_a_new_session(service: Service, user: str) -> None:
    for seats_taken, session in enumerate(["phone", "tablet", "tv"]):
        assert service.watching(user)["live_sessions"] == seats_taken
        assert service.segment(user, session, "orchard").status == 200

    assert service.watching(user)["live_sessions"] == 3


def test_as_a_user_with_3_sessions_the_next_one_is_refused_and_the_three_go_on(service: Service, user: str) -> None:
    _fill(service, user)

    refused = service.segment(user, "laptop", "clock")

    assert refused.status == 409
    assert refused.json["code"] == "session-limit"
    assert refused.json["limit"] == 3
    assert {s["session_id"] for s in refused.json["sessions"]} == {"phone", "tablet", "tv"}
    for session in ("phone", "tablet", "tv"):
        going_on = service.segment(user, session, "orchard")
        assert (going_on.status, going_on.headers["streamlimit-sequence"]) == (200, "1")
    assert set(_sessions(service, user)) == {"phone", "tablet", "tv"}


def test_as_a_user_with_an_idle_session_it_is_terminated_after_n_x_and_i_am_allowed_another(
    service: Service, user: str
) -> None:
    _fill(service, user)
    assert service.segment(user, "laptop", "clock").status == 409
    going_on = ("phone", "tablet")

    def admitted() -> bool:  # the tv stays silent meanwhile
        assert all(service.segment(user, session, "orchard").status in (200, 204) for session in going_on)
        return service.segment(user, "laptop", "clock").status == 200

    wait_until(admitted, PATIENCE, "the silent session's seat")
    assert set(_sessions(service, user)) == {"phone", "tablet", "laptop"}


def test_as_a_user_i_use_one_session_for_more_than_one_stream_one_at_a_time(service: Service, user: str) -> None:
    for stream in ("orchard", "clock", "aurora"):
        answer = service.segment(user, "phone", stream)
        assert (answer.status, answer.headers["streamlimit-sequence"]) == (200, "0")
        assert _sessions(service, user) == {"phone": stream}


def test_moving_to_another_stream_is_allowed_while_all_seats_are_taken(service: Service, user: str) -> None:
    _fill(service, user)

    assert service.segment(user, "phone", "clock").status == 200

    assert _sessions(service, user) == {"phone": "clock", "tablet": "orchard", "tv": "orchard"}


# Assumptions


def test_a_client_that_asks_every_x_seconds_keeps_its_seat_as_long_as_it_likes(service: Service, user: str) -> None:
    begun = time.monotonic()
    for phase in range(2 * N):
        wait_until(lambda due=begun + phase * X: time.monotonic() >= due, PATIENCE, "the next phase's time")
        answer = service.segment(user, "phone", "orchard")
        assert (answer.status, answer.headers["streamlimit-sequence"]) == (200, str(phase))

    assert time.monotonic() - begun > (2 * N - 2) * X
    assert len({s["started_at"] for s in service.watching(user)["sessions"]}) == 1


@pytest.mark.parametrize("missing", ["session_id", "user_id", "stream_id"])
def test_each_request_carries_session_id_user_id_and_stream_id(service: Service, user: str, missing: str) -> None:
    payload = {"session_id": "phone", "user_id": user, "stream_id": "orchard"}
    assert service.post("/v1/segments", payload).status == 200

    del payload[missing]
    refused = service.post("/v1/segments", payload)

    assert (refused.status, refused.json["code"], refused.json["field"]) == (400, "malformed", missing)


def test_a_session_that_has_not_asked_for_x_seconds_is_idle_and_still_holds_its_seat(
    service: Service, user: str
) -> None:
    service.segment(user, "phone", "orchard")
    assert _only(service, user)["state"] == "active"

    wait_until(lambda: _only(service, user)["state"] == "idle", PATIENCE, "idle")

    assert service.watching(user)["live_sessions"] == 1
    assert service.segment(user, "phone", "orchard").headers["streamlimit-sequence"] == "1"
    assert _only(service, user)["state"] == "active"


def test_a_session_idle_for_n_x_is_expired_and_the_active_ones_are_fewer_by_it(service: Service, user: str) -> None:
    service.segment(user, "phone", "orchard")
    service.segment(user, "tv", "clock")
    first = service.watching(user)["sessions"][0]
    life = datetime.fromisoformat(first["expires_at"]) - datetime.fromisoformat(first["last_activity_at"])
    assert life.total_seconds() == N * X

    def only_the_phone() -> bool:
        assert service.segment(user, "phone", "orchard").status in (200, 204)
        return service.watching(user)["live_sessions"] == 1

    wait_until(only_the_phone, PATIENCE, "the silent session's expiry")
    assert _sessions(service, user) == {"phone": "orchard"}


def test_a_session_is_real_only_when_the_client_has_received_a_phase(service: Service, user: str) -> None:
    opened = service.post("/v1/sessions", {"user_id": user, "session_id": "phone", "stream_id": "orchard"})
    assert (opened.status, opened.json["session"]["state"]) == (201, "starting")
    assert opened.json["session"]["last_activity_at"] is None

    service.segment(user, "phone", "orchard")

    assert _only(service, user)["state"] == "active"
    assert _only(service, user)["last_activity_at"] is not None


# Endpoint 2


def test_endpoint_2_expires_all_sessions_whose_last_activity_is_n_x_ago(service: Service) -> None:
    users = ["user-" + secrets.token_hex(4) for _ in range(5)]
    for each in users:
        _fill(service, each)
    wait_until(lambda: not any(service.watching(u)["live_sessions"] for u in users), PATIENCE, "n·X of silence")
    service.segment(users[0], "fresh", "orchard")

    swept = _endpoint_2(service)

    ours = {(s["user_id"], s["session_id"]) for s in swept["sessions"] if s["user_id"] in users}
    # Whoever asked for a seat meanwhile has taken out the old ones of that user already (rule 7).
    assert ours == {(user, session) for user in users[1:] for session in ("phone", "tablet", "tv")}
    assert all(s["state"] == "expired" for s in swept["sessions"])
    assert swept["finished"] is True
    assert _sessions(service, users[0]) == {"fresh": "orchard"}
    assert not any(s["user_id"] in users[1:] for s in _endpoint_2(service)["sessions"]), "each session once"


def _fill(service: Service, user: str) -> None:
    for session in ("phone", "tablet", "tv"):
        assert service.segment(user, session, "orchard").status == 200


def _sessions(service: Service, user: str) -> dict[str, str]:
    return {s["session_id"]: s["stream_id"] for s in service.watching(user)["sessions"]}


def _only(service: Service, user: str) -> dict[str, Any]:
    (session,) = service.watching(user)["sessions"]
    return dict(session)


def _endpoint_2(service: Service) -> dict[str, Any]:
    answer = service.post("/v1/expirations", key=OPERATOR_KEY)
    assert answer.status == 200
    return dict(answer.json)
