"""The payload and the signatures, verified with the library that receivers use."""

import json
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from streamlimit.errors import SettingsError
from streamlimit.model import Device, Event, Session, State
from streamlimit.settings import EVENT_TYPES, load_settings
from streamlimit.webhooks.endpoint import Endpoint, payload

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
URL = "https://hooks.example/in?token=hidden"
AT = 1_750_000_000_123

SESSION = Session(
    session_id="tv",
    user_id="alice",
    stream_id="news",
    state=State.EXPIRED,
    device=Device(id="d1", name="Küche"),
    segment="video/7.m4s",
    sequence=7,
    started_at_ms=AT - 60_000,
    last_activity_ms=AT - 18_000,
    expires_at_ms=AT,
    generation=AT - 60_000,
    move=2,
    plan="family",
    limit=5,
)
EVENT = Event("session.expired", SESSION, AT, "idle")


def headers(secrets: list[str], now: float | None = None) -> dict[str, str]:
    return Endpoint(URL, secrets, EVENT_TYPES).headers(EVENT, payload(EVENT), time.time() if now is None else now)


def test_a_receiver_verifies_it_and_reads_everything() -> None:
    seen = Webhook(SECRET).verify(payload(EVENT), headers([SECRET]))
    assert seen == {
        "type": "session.expired",
        "timestamp": "2025-06-15T15:06:40.123Z",
        "data": {
            "session": {
                "session_id": "tv",
                "user_id": "alice",
                "stream_id": "news",
                "state": "expired",
                "device": {"id": "d1", "name": "Küche"},
                "segment": "video/7.m4s",
                "sequence": 7,
                "started_at": "2025-06-15T15:05:40.123Z",
                "last_activity_at": "2025-06-15T15:06:22.123Z",
                "expires_at": "2025-06-15T15:06:40.123Z",
                "plan": "family",
                "limit": 5,
                "generation": AT - 60_000,
                "move": 2,
            },
            "reason": "idle",
        },
    }


def test_who_did_it_is_told_where_someone_did() -> None:
    event = Event("session.terminated", SESSION, AT, "too loud", "operator")
    assert json.loads(payload(event))["data"]["by"] == "operator"


def test_a_refused_session_has_no_times() -> None:
    session = Session("new", "alice", "news", State.STARTING, None, None, None, 0, None, 0, 0, 0)
    shown = json.loads(payload(Event("session.refused", session, AT, "session-limit")))["data"]
    assert shown["reason"] == "session-limit"
    assert shown["session"]["state"] == "refused"
    assert [shown["session"][name] for name in ("started_at", "last_activity_at", "expires_at")] == [None] * 3


def test_the_id_and_the_body_are_the_same_at_every_attempt() -> None:
    first, second = headers([SECRET], now=1_000), headers([SECRET], now=2_000)
    assert first["webhook-id"] == second["webhook-id"] == EVENT.id
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000", "2000")
    assert first["webhook-signature"] != second["webhook-signature"]
    assert payload(EVENT) == payload(EVENT)


def test_two_secrets_make_two_signatures_so_that_either_receiver_is_content() -> None:
    both = headers([NEW_SECRET, SECRET])
    assert len(both["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, NEW_SECRET):
        Webhook(secret).verify(payload(EVENT), both)


def test_a_secret_of_any_other_text_is_taken_as_it_is() -> None:
    Webhook(b"correct horse battery staple").verify(payload(EVENT), headers(["correct horse battery staple"]))


def test_another_secret_does_not_verify() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW_SECRET).verify(payload(EVENT), headers([SECRET]))


def test_an_endpoint_shows_neither_secret_nor_url() -> None:
    endpoint = Endpoint(URL, [SECRET], EVENT_TYPES)
    assert repr(endpoint) == f"Endpoint({endpoint.name})"
    assert endpoint.name.startswith("hooks.example-")
    assert "hidden" not in endpoint.name
    assert Endpoint(URL + "2", [SECRET], EVENT_TYPES).name != endpoint.name


@pytest.mark.parametrize(
    ("callback", "problem"),
    [
        ({"url": "https://a.example", "secret": ""}, "secret"),
        ({"url": "https://a.example", "secret": []}, "secret"),
        ({"url": "https://a.example", "secret": "whsec_$$$"}, "base64"),
        ({"url": "ftp://a.example", "secret": "s"}, "pattern"),
        ({"url": "https:///nowhere", "secret": "s"}, "pattern"),
        ({"url": "https://a.example", "secret": "s", "types": ["session.exploded"]}, "session.started"),
        ({"url": "https://a.example", "secret": "s", "name": "with blank"}, "pattern"),
    ],
)
def test_a_wrong_call_back_stops_the_start_without_showing_its_secret(callback: object, problem: str) -> None:
    with pytest.raises(SettingsError, match="callbacks") as stopped:
        load_settings(callbacks=[callback])
    assert problem in str(stopped.value)


def test_two_call_backs_to_one_url_need_names() -> None:
    twice = [{"url": "https://a.example", "secret": "s"}] * 2
    with pytest.raises(SettingsError, match="different names"):
        load_settings(callbacks=twice)
    load_settings(callbacks=[twice[0] | {"name": "a"}, twice[1] | {"name": "b"}])
