"""`GET /v1/events` and a user's history: what happens, as operators see it."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until
from tests.web.listening import listening

X = 30


@pytest.fixture(scope="module", params=["sqlite", "valkey"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Two workers: what one of them does is told by the other."""
    more: dict[str, Any] = {}
    if request.param == "valkey":
        more["store"] = request.getfixturevalue("valkey_url") + "/3"
    with temporary_folder() as folder:
        more |= {"workers": 2, "segment_seconds": X, "history_events": 6, "ledger_streams": "any"}
        with started(folder, operator_read_keys=["a-reader"], service_keys=["a-backend"], **more) as service:
            yield service


def beat(service: Service, user: str, session: str, stream: str = "orchard") -> int:
    return service.post(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": stream}).status


def end(service: Service, user: str, session: str) -> None:
    assert service.call("DELETE", f"/v1/users/{user}/sessions/{session}").status == 204


def test_each_change_is_told_as_a_webhook_would_tell_it(service: Service, user: str) -> None:
    with listening(service.port, user_id=user) as stream:
        head = stream.joined().head.lower()
        assert stream.status == 200
        for line in ("content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"):
            assert line in head
        assert beat(service, user, "tv") == 200
        told = [stream.event()]
        assert beat(service, user, "tv", "canal") == 200
        told.append(stream.event())
        service.call("DELETE", f"/v1/users/{user}/sessions/tv?reason=enough", key=OPERATOR_KEY)
        told.append(stream.event())
    assert [each.type for each in told] == ["session.started", "session.moved", "session.terminated"]
    assert all(each.data["type"] == each.type and each.id for each in told)
    assert [each.session["stream_id"] for each in told] == ["orchard", "canal", "canal"]
    last = told[-1].data
    assert set(last) == {"type", "timestamp", "data"}
    assert (last["data"]["by"], last["data"]["reason"]) == ("operator", "enough")
    assert last["data"]["session"]["user_id"] == user


def test_a_refusal_is_told_once_however_often_its_player_comes_back(service: Service, user: str) -> None:
    with listening(service.port, user_id=user) as stream:
        stream.joined()
        for number in range(3):
            beat(service, user, f"s{number}")
        told = stream.events(3)
        for _ in range(5):
            assert beat(service, user, "fourth") in (409, 429)
        told.append(stream.event())
        end(service, user, "s0")
        told.append(stream.event())
    assert [each.type for each in told] == ["session.started"] * 3 + ["session.refused", "session.ended"]
    refused = told[3].data["data"]
    assert (refused["reason"], refused["limit"], refused["live_sessions"]) == ("session-limit", 3, 3)


def test_who_comes_back_with_the_last_id_misses_nothing(service: Service, user: str) -> None:
    with listening(service.port, user_id=user) as stream:
        stream.joined()
        beat(service, user, "tv")
        began = stream.event()
    end(service, user, "tv")
    noted(service, user, "ended tv")
    beat(service, user, "phone")
    for how in ({"resumed": began.id}, {"last_event_id": began.id}):
        with listening(service.port, user_id=user, **how) as again:
            assert [each.type for each in again.events(2)] == ["session.ended", "session.started"]


def test_filters_are_of_type_user_and_stream(service: Service, user: str) -> None:
    wanted: list[dict[str, Any]] = [
        {"type": ["session.ended", "session.moved"]},
        {"type": "session.ended,session.moved"},
        {"stream_id": "canal", "user_id": user},
    ]
    for number, filters in enumerate(wanted):
        session = f"tv-{number}"  # of an older one the other worker may not know yet that it ended
        with listening(service.port, **filters) as stream:
            stream.joined()
            beat(service, user, session)
            told = (stream.event() for _ in count())  # what others left behind is heard, too
            own = (e for e in told if (e.session["user_id"], e.session["session_id"]) == (user, session))
            beat(service, user, session, "canal")
            assert next(own).type == "session.moved"
            end(service, user, session)
            assert next(own).type == "session.ended"


def test_an_id_that_is_too_old_is_told_of_the_gap_and_given_what_is_kept(service: Service, user: str) -> None:
    beat(service, user, "tv")
    with listening(service.port, resumed="99999999999999999") as stream:
        gap = stream.event()
        assert (gap.type, gap.data, gap.id) == ("gap", {"after": "99999999999999999"}, None)
        assert stream.event().type.startswith("session.")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"type": "session.born"}, "type"),
        ({"user_id": ".."}, "user_id"),
        ({"stream_id": "a/b"}, "stream_id"),
        ({"last_event_id": "yesterday"}, "Last-Event-ID"),
        ({"resumed": "1-2-3"}, "Last-Event-ID"),
        ({"resumed": "-1"}, "Last-Event-ID"),
        ({"resumed": "9" * 21}, "Last-Event-ID"),
    ],
)
def test_what_is_wrong_with_a_question_is_named(service: Service, query: dict[str, Any], field: str) -> None:
    with listening(service.port, **query) as stream:
        assert stream.status == 400
        assert f'"field":"{field}"'.encode() in stream.rest.replace(b" ", b"")


def test_it_is_for_operators_and_readers(service: Service, user: str) -> None:
    for path in ("/v1/events", f"/v1/users/{user}/history"):
        assert service.get(path).status == 401
        assert service.get(path, key="a-backend").status == 403
    assert service.get(f"/v1/users/{user}/history", key="a-reader").status == 200
    with listening(service.port, key="a-reader") as stream:
        assert stream.status == 200


def test_head_ends_at_once(service: Service) -> None:
    answer = service.call("HEAD", "/v1/events", key=OPERATOR_KEY)
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "text/event-stream")


def test_a_client_of_http_1_0_is_told_too(service: Service, user: str) -> None:
    with listening(service.port, version="1.0", user_id=user) as stream:
        assert "chunked" not in stream.joined().head
        beat(service, user, "tv")
        assert stream.event().type == "session.started"


def history(service: Service, user: str, query: str = "") -> dict[str, Any]:
    answer = service.get(f"/v1/users/{user}/history{query}", key=OPERATOR_KEY)
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


def names_of(events: list[dict[str, Any]]) -> list[str]:
    """Type and session of each."""
    return [f"{event['type'][8:]} {event['data']['session']['session_id']}" for event in events]


def settled(service: Service, user: str, *wanted: str) -> list[dict[str, Any]]:
    """The history, when both workers have told all of it: type and session of each, newest first."""
    found = list[dict[str, Any]]()

    def is_there() -> bool:
        found[:] = history(service, user)["events"]
        return names_of(found) == list(wanted)

    wait_until(is_there, 20, f"the history {wanted}")
    return found


def noted(service: Service, user: str, name: str) -> None:
    """Returns when that is the last in the history: what two workers do in one millisecond is in no order."""
    wait_until(lambda: names_of(history(service, user)["events"])[:1] == [name], 20, name)


def test_a_users_history_is_newest_first_bounded_and_read_page_by_page(service: Service, user: str) -> None:
    assert history(service, user) == {"user_id": user, "events": [], "cursor": None}
    for number in range(4):
        beat(service, user, f"s{number}")
        noted(service, user, f"started s{number}")
        end(service, user, f"s{number}")
        noted(service, user, f"ended s{number}")
    found = settled(service, user, "ended s3", "started s3", "ended s2", "started s2", "ended s1", "started s1")
    assert set(found[0]) == {"type", "timestamp", "data"}
    pages, cursor = list[dict[str, Any]](), ""
    while cursor is not None:
        page = history(service, user, f"?limit=4&cursor={cursor}" if cursor else "?limit=4")
        assert len(page["events"]) <= 4
        pages, cursor = pages + page["events"], page["cursor"]
    assert pages == found


def test_a_cursor_goes_on_though_its_event_is_gone(service: Service, user: str) -> None:
    for number in range(3):
        beat(service, user, f"s{number}")
        noted(service, user, f"started s{number}")
    page = history(service, user, "?limit=2")
    for number in range(3):
        end(service, user, f"s{number}")
        noted(service, user, f"ended s{number}")
    for name in ("new", "other"):
        beat(service, user, name)
        noted(service, user, f"started {name}")
    settled(service, user, "started other", "started new", "ended s2", "ended s1", "ended s0", "started s2")
    assert history(service, user, f"?cursor={page['cursor']}")["events"] == []
    assert service.get(f"/v1/users/{user}/history?cursor=x", key=OPERATOR_KEY).json["field"] == "cursor"


def test_refusals_are_in_the_history(service: Service, user: str) -> None:
    for number in range(3):
        beat(service, user, f"s{number}")
        noted(service, user, f"started s{number}")
    beat(service, user, "s3")
    found = settled(service, user, "refused s3", "started s2", "started s1", "started s0")
    assert found[0]["data"]["reason"] == "session-limit"


def test_who_is_forgotten_has_no_history(service: Service, user: str) -> None:
    beat(service, user, "tv")
    settled(service, user, "started tv")
    assert service.call("DELETE", f"/v1/users/{user}", key=OPERATOR_KEY).status == 204
    assert history(service, user)["events"] == []
