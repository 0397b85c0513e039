"""A heartbeat's answer is written in a way of its own; it says what every other answer says of a session.

And what it may say beside its stream: where the player is, on which device, who gives way.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.service import OPERATOR_KEY, Answer, Service, started_on, temporary_folder
from tests.web.folders import make_streams


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with temporary_folder() as folder:
        settings: dict[str, Any] = {"streams": str(make_streams(folder / "streams")), "ledger_streams": "any"}
        with started_on(request.param, folder, **settings) as service:
            yield service


def _beat(service: Service, user: str, session: str = "tv", stream: str = "tiny", **more: Any) -> Answer:
    key = more.pop("key", None)
    return service.post(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": stream} | more, key=key)


def test_a_player_is_told_how_often_to_beat_and_when_its_seat_is_free(service: Service, user: str) -> None:
    for more in ({}, {"segment": "a.ts"}):
        told = _beat(service, user, **more).json
        assert (told["heartbeat_seconds"], told["silent_after_seconds"]) == (6, 18)


def test_a_heartbeat_that_names_its_segment_says_where_the_player_is(service: Service, user: str) -> None:
    for sequence, segment in enumerate(["a.ts", "b.ts", "c.ts", "c.ts"]):
        told = _beat(service, user, segment=segment)
        assert told.status == 200
        assert (told.json["segment"], told.json["sequence"]) == (segment, min(sequence, 2))
    told = _beat(service, user)
    assert (told.json["segment"], told.json["sequence"]) == ("c.ts", 2), "another that names none changes nothing"
    (listed,) = service.watching(user)["sessions"]
    assert (listed["segment"], listed["sequence"], listed["state"]) == ("c.ts", 2, "active")
    told = _beat(service, user, stream="orchard")
    assert (told.json["stream_id"], told.json["segment"]) == ("orchard", None)
    assert service.segment(user, "tv", "tiny").headers["streamlimit-segment"] == "a.ts", "it came back to the first"


def test_endpoint_1_goes_on_behind_the_segment_that_a_heartbeat_named(service: Service, user: str) -> None:
    assert _beat(service, user, segment="a.ts").status == 200
    assert service.segment(user, "tv", "tiny").headers["streamlimit-segment"] == "b.ts"


def test_a_segment_is_found_as_its_header_spells_it(service: Service, user: str) -> None:
    for segment in ("prvn%C3%AD%20d%C3%ADl.ts", "první díl.ts"):
        told = _beat(service, user, stream="odd", segment=segment).json
        assert (told["segment"], told["sequence"]) == ("první díl.ts", 0)


@pytest.mark.parametrize("segment", ["d.ts", "index.m3u8", "../tiny/a.ts", "/a.ts", "a.ts\n", "x" * 1024])
def test_a_segment_that_is_none_takes_no_seat(service: Service, user: str, segment: str) -> None:
    answer = _beat(service, user, segment=segment)
    assert (answer.status, answer.json["code"]) == (404, "unknown-segment")
    assert service.watching(user)["sessions"] == []


@pytest.mark.parametrize(
    ("segment", "sequence"), [("1080p/seg-00042.m4s", 42), ("last.ts", None), ("a/b/42/film ☂.mp4", 42)]
)
def test_of_a_stream_that_is_elsewhere_the_name_says_where_the_player_is(
    service: Service, user: str, segment: str, sequence: int | None
) -> None:
    told = _beat(service, user, stream="elsewhere", segment=segment).json
    assert (told["segment"], told["sequence"]) == (segment, sequence)


@pytest.mark.parametrize("segment", ["master.m3u8", "/seg-1.ts", "../seg-1.ts", "seg\x00.ts", "a\\b.ts"])
def test_of_a_stream_that_is_elsewhere_not_everything_is_a_segment(service: Service, user: str, segment: str) -> None:
    answer = _beat(service, user, stream="elsewhere", segment=segment)
    assert (answer.status, answer.json["code"]) == (404, "unknown-segment")
    assert service.watching(user)["sessions"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("segment", ""), ("segment", 3), ("segment", "x" * 1025), ("device", ""), ("device", 4),
     ("replace", "a/b"), ("replace", 5)],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named_and_takes_no_seat(
    service: Service, user: str, field: str, value: object
) -> None:
    answer = _beat(service, user, **{field: value})
    assert (answer.status, answer.json["code"]) == (400, "malformed")
    assert answer.json["field"].startswith(field)
    assert service.watching(user)["sessions"] == []


@pytest.mark.parametrize("segment", [None, "a.ts"])
def test_a_heartbeat_names_its_device_and_who_gives_way(service: Service, user: str, segment: str | None) -> None:
    more = {} if segment is None else {"segment": segment}
    device = {"id": "d1", "name": "Wohnzimmer", "type": "tv"}
    for _ in range(3):  # the third is known as a whole
        assert _beat(service, user, "one", device=device, **more).json["device"] == device
    for session in ("two", "three"):
        assert _beat(service, user, session, device="d2", **more).json["device"] == "d2"
    assert _beat(service, user, "four", **more).status == 409
    assert _beat(service, user, "four", replace="nobody", **more).status == 409
    for _ in range(3):
        assert _beat(service, user, "four", replace="two", **more).status == 200
    assert {each["session_id"] for each in service.watching(user)["sessions"]} == {"one", "three", "four"}
    told = _beat(service, user, "two", **more)
    assert (told.status, told.json["by"]) == (410, "viewer")


def test_a_grant_ends_no_other_session_by_a_heartbeat_either(service: Service, user: str) -> None:
    form = {"user_id": user, "session_id": "tv", "stream_id": "tiny"}
    grant = service.post("/v1/sessions", form).json["grant"]
    assert _beat(service, user, key=grant, replace="other", segment="a.ts").status == 403
    assert _beat(service, user, key=grant, replace="other").status == 403
    assert _beat(service, user, key=grant, replace="tv", segment="a.ts").json["segment"] == "a.ts"


def test_a_beacon_names_its_segment_with_the_grant_in_its_body(service: Service, user: str) -> None:
    form = {"user_id": user, "session_id": "tv", "stream_id": "tiny"}
    body = {"grant": service.post("/v1/sessions", form).json["grant"], "stream_id": "tiny", "segment": "b.ts"}
    path, kind = f"/v1/users/{user}/sessions/tv/heartbeat", {"Content-Type": "text/plain;charset=UTF-8"}
    told = service.call("POST", path, msgspec.json.encode(body), kind)
    assert (told.status, told.json["sequence"]) == (200, 1)


def test_a_heartbeat_without_a_play_is_no_other_player_than_the_one_that_plays(service: Service, user: str) -> None:
    form = {"user_id": user, "session_id": "tv", "stream_id": "tiny"}
    opened = service.post("/v1/sessions", form).json
    led = service.get(opened["playback_url"]).body.decode()
    media = "/play/" + re.search(r"[^/\s]+~[\w-]+", led)[0] + "/tiny/a.ts"  # type: ignore[index]
    for _ in range(4):  # each would be a change of plays, of which there may be two
        assert service.get(media).status == 200
        assert _beat(service, user, segment="b.ts").status == 200
    assert service.get(media).status == 200


def test_who_was_terminated_is_refused_whatever_it_names(service: Service, user: str) -> None:
    assert _beat(service, user, segment="a.ts").status == 200
    service.call("DELETE", f"/v1/users/{user}/sessions/tv", key=OPERATOR_KEY)
    for _ in range(2):
        assert _beat(service, user, segment="b.ts").status == 410
