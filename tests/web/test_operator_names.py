"""Operators with a name and a role: the name, never the key, is in logs, events and what viewers are told."""

import json
from typing import Any

import pytest

from streamlimit.settings import key_hash
from tests.service import OPERATOR_KEY, Answer, Service, service_of_file

ANNA, BORIS, READER = "the-key-of-anna", "the-key-of-boris", "the-key-of-a-reader"
ODD = 'Boris <b>"bo"</b> ü'  # a person's own name may hold anything but control characters
KEYS = [
    {"name": "support-anna", "role": "operate", "hash": key_hash(ANNA)},
    {"name": ODD, "hash": key_hash(BORIS)},
    {"name": "dashboard", "role": "read", "hash": key_hash(READER)},
    OPERATOR_KEY,
]


service = service_of_file(operator_keys=KEYS, service_keys=["svc-key"])


def sent_away(service: Service, user: str, key: str, path: str = "/s?reason=called%20in") -> Answer:
    """What the session is told that *key* terminates."""
    assert service.segment(user, "s", "clock").status == 200
    assert service.call("DELETE", f"/v1/users/{user}/sessions{path}", key=key).status == 204
    return service.segment(user, "s", "clock")


def lines(service: Service, event: str, user: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event and line.get("user_id") == user]


@pytest.mark.parametrize(
    ("user", "key", "name"),
    [("a", ANNA, "support-anna"), ("b", BORIS, ODD), ("c", OPERATOR_KEY, "operator")],
    ids=["named", "odd name", "without a name"],
)
def test_a_termination_says_who_did_it(service: Service, user: str, key: str, name: str) -> None:
    told = sent_away(service, user, key)
    assert (told.status, told.json["by"], told.json["reason"]) == (410, name, "called in")
    assert name in told.json["detail"]
    (line,) = lines(service, "session.terminated", user)
    assert line["by"] == name


def test_so_does_one_of_all_sessions(service: Service) -> None:
    assert sent_away(service, "all", ANNA, "").json["by"] == "support-anna"


def test_what_else_an_operator_changes_is_logged_with_their_name(service: Service) -> None:
    sent_away(service, "logged", ANNA)
    user = "/v1/users/logged"
    assert service.call("DELETE", f"{user}/terminations/s", key=ANNA).status == 204
    limit = {"max_sessions": 5, "note": "a complaint"}
    assert service.call("PUT", f"{user}/limit", limit, key=ANNA).status == 200
    assert service.call("DELETE", f"{user}/limit", key=ANNA).status == 204
    assert service.call("DELETE", user, key=ANNA).status == 204
    for event in ("terminations_forgiven", "limit_set", "limit_removed", "user_forgotten"):
        (line,) = lines(service, event, "logged")
        assert line["by"] == "support-anna", event
    (given,) = lines(service, "limit_set", "logged")
    assert (given["max_sessions"], given["note"]) == (5, "a complaint")


def test_a_key_with_the_role_read_looks_and_changes_nothing(service: Service) -> None:
    assert service.get("/v1/stats", key=READER).status == 200
    assert service.get("/v1/limits", key=READER).status == 200
    assert service.post("/v1/expirations", key=READER).status == 403
    assert service.call("DELETE", "/v1/users/a/sessions/s", key=READER).status == 403


def test_a_back_ends_end_is_still_the_viewers(service: Service) -> None:
    assert service.segment("back", "s", "clock").status == 200
    assert service.call("DELETE", "/v1/users/back/sessions/s", key="svc-key").status == 204
    (line,) = lines(service, "session.ended", "back")
    assert line["by"] == "viewer"


def test_no_key_is_in_the_log(service: Service) -> None:
    log = service.log()
    assert "2 plain" not in log
    assert "3 operator keys, 1 read keys" in log
    assert not any(key in log for key in (ANNA, BORIS, READER, OPERATOR_KEY))
