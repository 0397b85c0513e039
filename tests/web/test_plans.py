"""Which limit wins: own by API, the token's, its plan's, `max_sessions`; and the caps beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import OPERATOR_KEY, Answer, Service, started, temporary_folder
from tests.web.provider import Provider

SERVICE_KEY = "service-key-of-the-tests"
PLANS = {"basic": 1, "premium": 4}


@pytest.fixture(scope="module")
def service(provider: Provider) -> Iterator[Service]:
    settings = provider.settings() | {"plans": PLANS, "service_keys": [SERVICE_KEY], "max_sessions": 2}
    with temporary_folder() as folder, started(folder, segment_seconds=60, **settings) as service:
        yield service


def _open(service: Service, user: str, session: str, key: str, **more: Any) -> Answer:
    form = {"user_id": user, "session_id": session, "stream_id": "orchard"} | more
    return service.post("/v1/sessions", form, key=key)


def _limit(service: Service, user: str, key: str, **more: Any) -> int:
    """How many may sit, by trying; the refusal and the roster must say the same."""
    for n in range(10):
        answer = _open(service, user, f"s{n}", key, **more)
        if answer.status == 409:
            assert answer.json["limit"] == n
            return n
        assert answer.status == 201, answer.body
        assert answer.json["limit"] > n
    raise AssertionError("no limit at all")


def test_who_looks_sees_the_plan_and_the_limit_under_which_a_session_sits(service: Service) -> None:
    opened = _open(service, "shown", "tv", SERVICE_KEY, plan="premium").json
    media = service.get(f"/play/{opened['grant']}/orchard/video-180p/seg-00002.m4s")
    assert media.status == 200, media.body
    for key in (SERVICE_KEY, OPERATOR_KEY):
        seen = service.get("/v1/users/shown/sessions", key=key).json
        assert (seen["limit"], seen["sessions"][0]["plan"], seen["sessions"][0]["limit"]) == (4, "premium", 4)
    one = service.get("/v1/users/shown/sessions/tv", key=SERVICE_KEY).json
    page = service.get("/v1/sessions?user_id=shown", key=OPERATOR_KEY).json["sessions"][0]
    beat = service.post("/v1/users/shown/sessions/tv/heartbeat", {"stream_id": "orchard"}, key=SERVICE_KEY).json
    assert [(each["plan"], each["limit"]) for each in (opened["session"], one, page, beat)] == [("premium", 4)] * 4
    _open(service, "shown", "tv", SERVICE_KEY, plan="basic")
    assert service.get("/v1/users/shown/sessions", key=SERVICE_KEY).json["limit"] == 1
    assert _open(service, "shown", "pad", SERVICE_KEY, plan="basic").json["sessions"][0]["plan"] == "basic"


@pytest.mark.parametrize(
    ("name", "claims", "own", "expected"),
    [
        ("nothing", {}, None, 2),
        ("plan", {"streamlimit_plan": "premium"}, None, 4),
        ("small-plan", {"streamlimit_plan": "basic"}, None, 1),
        ("unknown-plan", {"streamlimit_plan": "platinum"}, None, 2),
        ("limit", {"streamlimit_limit": 3}, None, 3),
        ("limit-and-plan", {"streamlimit_limit": 3, "streamlimit_plan": "basic"}, None, 3),
        ("own", {}, 5, 5),
        ("own-and-all", {"streamlimit_limit": 3, "streamlimit_plan": "basic"}, 1, 1),
    ],
)
def test_which_limit_wins(
    service: Service, provider: Provider, name: str, claims: dict[str, Any], own: int | None, expected: int
) -> None:
    user = f"u-{name}"
    if own is not None:
        service.call("PUT", f"/v1/users/{user}/limit", {"max_sessions": own}, key=OPERATOR_KEY)
    key = provider.token(user, **claims)
    assert _limit(service, user, key) == expected
    roster = service.get(f"/v1/users/{user}/sessions", key=key).json
    assert (roster["limit"], roster["live_sessions"]) == (expected, expected)


def test_a_back_end_names_the_plan(service: Service) -> None:
    assert _limit(service, "by-service", SERVICE_KEY, plan="premium") == 4
    beat = {"stream_id": "orchard", "plan": "basic"}
    assert service.post("/v1/users/beats/sessions/a/heartbeat", beat, key=SERVICE_KEY).status == 200
    assert service.post("/v1/users/beats/sessions/b/heartbeat", beat, key=SERVICE_KEY).status == 409
    form = {"user_id": "beats", "session_id": "c", "stream_id": "orchard", "plan": "premium"}
    assert service.post("/v1/segments", form, key=SERVICE_KEY).status == 200


def test_a_plan_that_is_none_is_the_back_ends_mistake_and_takes_no_seat(service: Service) -> None:
    form = {"user_id": "mistaken", "session_id": "a", "stream_id": "orchard", "plan": "platinum"}
    for path in ("/v1/segments", "/v1/sessions"):
        answer = service.post(path, form, key=SERVICE_KEY)
        assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "malformed", "plan")
    beat = {"stream_id": "orchard", "plan": "Premium"}
    answer = service.post("/v1/users/mistaken/sessions/a/heartbeat", beat, key=SERVICE_KEY)
    assert (answer.status, answer.json["field"]) == (400, "plan")
    assert service.get("/v1/users/mistaken/sessions", key=SERVICE_KEY).json["live_sessions"] == 0


def test_a_viewer_does_not_choose_the_plan(service: Service, provider: Provider) -> None:
    key = provider.token("greedy")
    answer = _open(service, "greedy", "a", key, plan="premium")
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    grant = _open(service, "greedy", "a", key).json["grant"]
    form = {"user_id": "greedy", "session_id": "a", "stream_id": "orchard", "plan": "premium"}
    assert service.post("/v1/segments", form, key=grant).status == 403
    beat = {"stream_id": "orchard", "plan": "premium"}
    assert service.post("/v1/users/greedy/sessions/a/heartbeat", beat, key=grant).status == 403


def test_the_plan_goes_along_in_the_grant(service: Service) -> None:
    grants = [_open(service, "movers", f"s{n}", SERVICE_KEY, plan="premium").json["grant"] for n in range(4)]
    for n, grant in enumerate(grants):
        form = {"user_id": "movers", "session_id": f"s{n}", "stream_id": "orchard"}
        answer = service.post("/v1/segments", form, key=grant)
        assert (answer.status, answer.headers["streamlimit-limit"]) == (200, "4")


def test_an_unknown_plan_is_logged_once(service: Service, provider: Provider) -> None:
    for n in range(3):
        _open(service, f"odd-{n}", "a", provider.token(f"odd-{n}", streamlimit_plan="no-such-plan"))
    assert service.log().count('"plan":"no-such-plan"') == 1


def test_the_limit_call_tells_where_the_limit_is_from(service: Service) -> None:
    told = service.get("/v1/users/nobody/limit", key=OPERATOR_KEY).json
    own = {"own": False, "until": None, "note": ""}
    assert told == {"user_id": "nobody", "max_sessions": 2, **own, "source": "max_sessions", "plans": PLANS}
    service.call("PUT", "/v1/users/somebody/limit", {"max_sessions": 7}, key=OPERATOR_KEY)
    told = service.get("/v1/users/somebody/limit", key=OPERATOR_KEY).json
    assert (told["max_sessions"], told["own"], told["source"]) == (7, True, "own")


def test_lowered_below_what_sits_nobody_is_refused_who_sits(service: Service) -> None:
    for n in range(4):
        assert _open(service, "downgraded", f"s{n}", SERVICE_KEY, plan="premium").status == 201
    for n in range(4):
        assert _open(service, "downgraded", f"s{n}", SERVICE_KEY, plan="basic").status == 200
    assert _open(service, "downgraded", "new", SERVICE_KEY, plan="basic").status == 409


def test_caps_by_stream_and_by_type_of_device(tmp_path: Path) -> None:
    caps: dict[str, Any] = {"max_per_stream": 1, "max_per_device_type": {"tv": 1}, "max_sessions": 4}
    with started(tmp_path, segment_seconds=60, **caps) as service:

        def ask(session: str, stream: str, kind: str) -> Answer:
            return service.segment("u", session, stream, device={"id": session, "type": kind})

        assert ask("a", "orchard", "tv").status == 200
        full = ask("b", "orchard", "mobile")
        assert (full.status, full.json["code"]) == (409, "session-limit")
        assert (full.json["scope"], full.json["scope_limit"]) == ("stream", 1)
        assert full.json["detail"].startswith("of one stream a user may watch 1 at once")
        full = ask("b", "harbour", "tv")
        assert (full.status, full.json["scope"], full.json["scope_limit"]) == (409, "device-type", 1)
        assert full.json["detail"].startswith("on devices of this type a user may watch 1 at once")
        assert ask("b", "harbour", "mobile").status == 200


def test_a_device_with_a_long_name_counts_by_its_type_also_when_its_url_seats_it_again(tmp_path: Path) -> None:
    named = {"name": "\N{TELEVISION}" * 128, "type": "tv"}
    with started(tmp_path, segment_seconds=60, max_per_device_type={"tv": 1}) as service:
        one = {"user_id": "u", "session_id": "one", "stream_id": "orchard", "device": named | {"id": "1" * 64}}
        grant = service.post("/v1/sessions", one).json["grant"]
        assert service.post("/v1/users/u/sessions/one/end", {"keep_grant": True}).status == 204
        other = one | {"session_id": "other", "device": named | {"id": "2" * 64}}
        assert service.post("/v1/sessions", other).status == 201
        full = service.get(f"/play/{grant}/orchard/video-180p/seg-00002.m4s")
        assert full.status == 409
        assert (full.json["scope"], full.json["scope_limit"]) == ("device-type", 1)


def test_a_plan_is_from_1_to_64(tmp_path: Path) -> None:
    from streamlimit.errors import SettingsError
    from streamlimit.settings import load_settings

    for plans in ({"x": 0}, {"x": 65}, {"x": "many"}, ["x"]):
        with pytest.raises(SettingsError, match="plans"):
            load_settings(plans=plans)
