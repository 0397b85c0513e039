"""Endpoint 2, `POST /v1/expirations`, and that nobody has to wait for it (rule 7)."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.service import OPERATOR_KEY, Answer, Service, service_of_file, started, wait_until

X = 0.3

service = service_of_file(segment_seconds=X, sweep_seconds=0)
"""Nothing sweeps here but Endpoint 2."""


@pytest.fixture
def swept(service: Service) -> Service:
    """The service with nothing due."""
    wait_until(lambda: service.sweep()["expired"] == 0, 10, "what other tests left")
    return service


def _seat(service: Service, count: int, sessions: int = 1) -> list[str]:
    """So many users, each with so many sessions that are silent from now on; returns when all are past their time."""
    users = [f"u-{secrets.token_hex(6)}" for _ in range(count)]
    for user in users:
        for number in range(sessions):
            path = f"/v1/users/{user}/sessions/s{number}/heartbeat"
            assert service.post(path, {"stream_id": "orchard"}).status == 200
    wait_until(lambda: not service.watching(users[-1])["live_sessions"], 10, "n·X of silence")
    return users


def _told(service: Service, user: str) -> int:
    """How often the log says that a session of that user expired."""
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return sum(line["event"] == "session.expired" and line["user_id"] == user for line in lines)


def test_it_expires_what_is_due_and_says_what(swept: Service) -> None:
    (user,) = _seat(swept, 1, sessions=3)

    answer = swept.post("/v1/expirations", key=OPERATOR_KEY)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json
    assert (told["expired"], told["callbacks_pending"], told["finished"]) == (3, 0, True)
    assert {(s["user_id"], s["session_id"], s["state"]) for s in told["sessions"]} == {
        (user, f"s{number}", "expired") for number in range(3)
    }
    assert all(s["last_activity_at"] < s["expires_at"] for s in told["sessions"])
    assert swept.sweep() == told | {"expired": 0, "sessions": []}
    assert _told(swept, user) == 3


def test_it_leaves_alone_who_still_watches(swept: Service) -> None:
    swept.segment("watcher", "s", "orchard")
    assert swept.sweep()["expired"] == 0
    assert swept.watching("watcher")["live_sessions"] == 1
    swept.call("DELETE", "/v1/users/watcher/sessions/s")


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"max_seconds": null}', b'{"max_seconds": 5}'])
def test_the_body_may_be_left_out(service: Service, body: bytes | None) -> None:
    answer = service.post("/v1/expirations", body, key=OPERATOR_KEY)
    assert (answer.status, answer.json["finished"]) == (200, True)


def test_a_body_that_is_empty_may_be_of_any_type(service: Service) -> None:
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    assert service.post("/v1/expirations", b"", headers=plain, key=OPERATOR_KEY).status == 200
    refused = service.post("/v1/expirations", b"{}", headers=plain, key=OPERATOR_KEY)
    assert (refused.status, refused.json["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "body",
    [b'{"max_seconds": "5"}', b'{"max_seconds": 0}', b'{"max_seconds": -1}', b'{"max_seconds": 1e9}', b"[]", b"null",
     b'{"max_seconds": true}', b'{"max_second": 1}', b"{", b'{"max_seconds": NaN}', b'{"max_seconds": 1e400}'],
)  # fmt: skip
def test_a_bad_body_is_malformed(service: Service, body: bytes) -> None:
    answer = service.post("/v1/expirations", body, key=OPERATOR_KEY)
    assert (answer.status, answer.json["code"]) == (400, "malformed")


def test_it_is_for_operators(service: Service) -> None:
    def call(**more: Any) -> Answer:
        return service.post("/v1/expirations", **more)

    grant = service.post("/v1/sessions", {"user_id": "viewer", "stream_id": "orchard"}).json["grant"]
    nobody, wrong, viewer = call(), call(key="not-the-operators-key"), call(key=grant)
    assert (nobody.status, nobody.json["code"]) == (401, "unauthenticated")
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert (wrong.status, wrong.json["code"]) == (401, "unauthenticated")
    assert (viewer.status, viewer.json["code"]) == (403, "forbidden")
    assert call(body=b"no json", headers={"Content-Type": "text/plain"}).status == 401, "who asks comes first"


def test_a_bound_on_its_work_and_at_most_100_sessions_shown(swept: Service) -> None:
    users = _seat(swept, 150)

    first = swept.post("/v1/expirations", {"max_seconds": 0.000001}, key=OPERATOR_KEY).json
    assert first["finished"] is False
    assert 0 < first["expired"] < 150
    assert len(first["sessions"]) == min(first["expired"], 100)

    more = _seat(swept, 60, sessions=2)
    rest = swept.sweep()
    assert rest["finished"] is True
    assert first["expired"] + rest["expired"] == 150 + 120
    assert len(rest["sessions"]) == 100
    assert sum(_told(swept, user) for user in users[:5] + more[:5]) == 5 + 10


def test_of_many_callers_each_session_is_told_to_one(swept: Service) -> None:
    users = _seat(swept, 30, sessions=3)
    with ThreadPoolExecutor(12) as callers:
        answers = list(callers.map(lambda _: swept.post("/v1/expirations", key=OPERATOR_KEY), range(24)))
    assert {answer.status for answer in answers} == {200}
    told = [(s["user_id"], s["session_id"]) for answer in answers for s in answer.json["sessions"]]
    assert sorted(told) == sorted((user, f"s{number}") for user in users for number in range(3))
    assert sum(answer.json["expired"] for answer in answers) == 90


def test_without_any_sweep_an_expired_session_counts_for_nothing(service: Service) -> None:
    (user,) = _seat(service, 1, sessions=3)
    assert service.watching(user)["sessions"] == []
    assert _told(service, user) == 0, "nobody has swept"

    newcomer = service.segment(user, "new", "orchard")

    assert newcomer.status == 200
    assert newcomer.headers["streamlimit-live-sessions"] == "1"
    assert _told(service, user) == 3, "who frees a seat makes it known"


def test_who_comes_back_after_its_time_is_a_new_session(service: Service) -> None:
    (user,) = _seat(service, 1)
    assert service.segment(user, "s0", "orchard").headers["streamlimit-sequence"] == "0"
    assert service.segment(user, "s0", "orchard").headers["streamlimit-sequence"] == "1"
    assert service.get(f"/v1/users/{user}/sessions/s0").status == 200


def test_the_built_in_sweep_makes_expiries_known_by_itself(tmp_path: Path) -> None:
    with started(tmp_path, segment_seconds=X) as service:
        service.segment("alone", "s", "orchard")
        wait_until(lambda: _told(service, "alone") == 1, 10, "the built-in sweep")
        assert service.sweep()["expired"] == 0
