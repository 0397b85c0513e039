"""`/edge/adobe/v2/…` against a client written from Adobe's documentation."""

import http.client
import re
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.edge.adobe_client import App, seconds_left
from tests.edge.calls import some_user
from tests.service import OPERATOR_KEY, Service, service_of_file, started, temporary_folder, wait_until

X, INTERVAL = 0.2, 1
EXPIRY, LIFE = 3 * X, 1.5 * INTERVAL


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Sessions of its own would expire after 0.6 s; apps are asked to call each second."""
    with temporary_folder() as folder:
        adobe = {"applications": ["demo-app", "other-app"], "interval_seconds": INTERVAL}
        with started(folder, ledger_streams="any", segment_seconds=X, adobe=adobe) as service:
            yield service


hosted = service_of_file(ledger_streams="any", segment_seconds=2)
"""With nothing set but any stream."""


@pytest.fixture
def app(service: Service) -> App:
    return App(service, some_user())


# Life


def test_an_app_is_told_which_metadata_names_the_stream_and_is_sent_for_it(app: App) -> None:
    assert app.metadata().json == ["channel"]
    answer = app.create(programName="no channel")
    assert answer.status == 400
    wanted = {"namespace": "adobe.primetime.cm", "action": "refresh", "arguments": ["metadata"]}
    assert answer.json == {"associatedAdvice": [], "obligations": wanted}
    assert app.running().json["runningStreams"] == []


def test_a_session_counts_at_once_and_its_id_stands_bare_in_location(hosted: Service) -> None:
    app = App(hosted, "4711")
    answer = app.create(channel="news")
    assert (answer.status, answer.body) == (202, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert seconds_left(answer) == 60
    assert re.fullmatch(r"[0-9a-f-]{8,64}", answer.headers["location"])
    (session,) = hosted.watching("adobe:4711")["sessions"]
    assert (session["session_id"], session["stream_id"]) == (answer.headers["location"], "news")
    assert session["state"] == "active"


def test_metadata_may_be_a_query_or_a_form_of_any_content_type(app: App, service: Service) -> None:
    path = f"sessions/adobe/{app.subject}"
    assert app.call("POST", path + "?channel=by+query").status == 202
    assert app.call("POST", path, b"channel=untyped", **{"Content-Type": "text/plain"}).status == 202
    streams = [each["stream_id"] for each in service.watching(f"adobe:{app.subject}")["sessions"]]
    assert streams == ["by query", "untyped"]


def test_a_session_lives_by_the_interval_although_others_would_expire(app: App) -> None:
    session = app.plays()
    for _ in range(2):
        left_at = app.running().json["runningStreams"]
        assert [each["sessionId"] for each in left_at] == [session]
        time.sleep(INTERVAL)  # an app calls so often, and no sooner
        assert app.heartbeat(session).status == 202
    assert app.heartbeat(session, body=b"channel=cannot+be+changed&show=Friends").status == 202
    (running,) = app.running().json["runningStreams"]
    assert running["metadata"] == {"channel": "news"}


def test_who_does_not_call_is_gone_and_told_so_without_a_body(app: App) -> None:
    session = app.plays()
    wait_until(lambda: app.running().json["runningStreams"] == [], LIFE + 10)
    answer = app.heartbeat(session)
    assert (answer.status, answer.body) == (410, b"")
    assert app.stop(session).status == 410
    assert "expires" not in app.running().headers


def test_a_stopped_session_frees_its_seat_and_is_stopped_once(app: App) -> None:
    sessions = [app.plays() for _ in range(3)]
    assert app.create(channel="news").status == 409
    assert (app.stop(sessions[0]).status, app.stop(sessions[0]).status) == (202, 410)
    assert app.heartbeat(sessions[0]).status == 410
    assert app.create(channel="news").status == 202


def test_an_id_that_was_never_given_to_the_subject_is_unknown(app: App, service: Service) -> None:
    session = app.plays()
    stranger = App(service, some_user())
    for app_, told in ((stranger, session), (app, "76378b50-4eb0-43b4-b144-51cb62d85563"), (app, session[:-1] + "x")):
        assert app_.heartbeat(told).status == 404
        assert app_.stop(told).status == 404
    assert app.heartbeat("%FF").status == 400


# Conflict


def test_a_conflict_says_who_sits_and_its_code_takes_the_seat(app: App) -> None:
    victim = app.plays("sports", deviceName="Kitchen TV", deviceId="tv-1", platform="tv")
    app.plays("news")
    app.plays("films")
    refused = app.create(channel="late")
    assert refused.status == 409
    (advice,) = refused.json["associatedAdvice"]
    assert (advice["type"], advice["threshold"]) == ("rule-violation", 3)
    assert {"message", "policyName", "ruleName"} <= advice.keys()
    assert len(advice["conflicts"]) == 3
    ((conflict,),) = [found for session, found in advice["conflicts"].items() if session == victim]
    assert (conflict["channel"], conflict["deviceName"]) == ("sports", "Kitchen TV")
    assert conflict["metadata"]["deviceId"] == "tv-1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z", conflict["startedAt"])
    assert victim not in conflict["terminationCode"]

    taken = app.create(terminate=conflict["terminationCode"], channel="late", deviceName="Phone")
    assert taken.status == 202
    told = app.heartbeat(victim)
    assert told.status == 410
    (advice,) = told.json["associatedAdvice"]
    assert (advice["type"], told.json["obligations"]) == ("remote-termination", [])
    assert (advice["terminator"]["channel"], advice["terminator"]["deviceName"]) == ("late", "Phone")
    assert len(app.running().json["runningStreams"]) == 3


def test_a_code_of_nobody_takes_no_seat(app: App) -> None:
    for _ in range(3):
        app.plays()
    assert app.create(terminate="deadbeef", channel="news").status == 409
    codes = [each["terminationCode"] for each in app.running().json["runningStreams"]]
    assert app.create(terminate=f"deadbeef, {codes[1]}", channel="news").status == 202
    assert len(app.running().json["runningStreams"]) == 3


def test_codes_may_stand_in_headers_of_their_own(app: App, service: Service) -> None:
    for _ in range(3):
        app.plays()
    code = app.running().json["runningStreams"][2]["terminationCode"]
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, 30)) as line:
        line.putrequest("POST", f"/edge/adobe/v2/sessions/adobe/{app.subject}?channel=news")
        line.putheader("Authorization", "Basic ZGVtby1hcHA6")
        line.putheader("X-Terminate", "deadbeef")
        line.putheader("X-Terminate", code)
        line.endheaders()
        assert line.getresponse().status == 202


def test_an_operators_termination_is_a_remote_one_and_the_holding_worker_lets_go(app: App, service: Service) -> None:
    session = app.plays()
    path = f"/v1/users/adobe:{app.subject}/sessions/{session}?reason=shared"
    assert service.call("DELETE", path, key=OPERATOR_KEY).status == 204
    answer = app.heartbeat(session)
    assert answer.status == 410
    assert "shared" in answer.json["associatedAdvice"][0]["message"]
    assert app.stop(session).status == 410


def test_running_streams_are_all_sessions_of_the_user_wherever_they_were_opened(app: App, service: Service) -> None:
    session = app.plays()
    user = f"adobe:{app.subject}"
    form = {"stream_id": "elsewhere"}
    assert service.post(f"/v1/users/{user}/sessions/browser/heartbeat", form).status == 200
    answer = app.running()
    assert answer.status == 200
    assert answer.json["otherStreams"] == 0
    found = {each["sessionId"]: each for each in answer.json["runningStreams"]}
    assert found.keys() == {session, "browser"}
    assert found["browser"]["metadata"]["channel"] == "elsewhere"
    assert isinstance(found[session]["startTime"], int)
    assert 0 <= seconds_left(answer) <= LIFE + 3  # Date is as old as the last tick of the loop


# Who, and how often


def test_no_two_subscribers_are_one_user(service: Service) -> None:
    idp = some_user()
    for name, subject in ((idp, "b/c+d"), (idp, "b%2Fc+d"), (idp, "b c"), (f"{idp}:b", "c"), (idp, "b:c")):
        app = App(service, subject, name)
        app.plays()
        assert len(app.running().json["runningStreams"]) == 1, (name, subject)
    assert len(service.watching(f"{idp}:b%252Fc+d")["sessions"]) == 1


def test_only_named_applications_may_call(service: Service, hosted: Service) -> None:
    subject = some_user()
    assert App(service, subject, application="other-app").metadata().status == 200
    for stranger in ("stranger", ""):
        answer = App(service, subject, application=stranger).create(channel="news")
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert service.get("/edge/adobe/v2/metadata").status == 401
    assert service.get("/edge/adobe/v2/metadata", headers={"Authorization": "Basic =\xe9"}).status == 401
    assert App(hosted, subject, application="anyone").metadata().status == 200


def test_an_app_that_calls_too_often_is_told_when_to_come_back(hosted: Service) -> None:
    app = App(hosted, some_user())
    session = app.plays()
    statuses = [app.heartbeat(session).status for _ in range(200)]
    assert set(statuses) == {202}
    answer = app.heartbeat(session)
    assert (answer.status, answer.body) == (429, b"")
    assert 0 < seconds_left(answer) <= 61
    assert app.stop(session).status == 429
    assert app.create(channel="news").status == 202, "the subject's creations are counted apart"


def test_what_is_no_call_of_the_api_takes_no_seat(app: App, service: Service) -> None:
    sessions = f"sessions/adobe/{app.subject}"
    for method, path, status in (
        ("GET", sessions, 405),
        ("POST", "metadata", 405),
        ("GET", "nothing", 404),
        ("POST", "sessions//", 404),
        ("POST", "sessions/adobe/?channel=news", 404),
        ("POST", f"sessions//{app.subject}?channel=news", 404),
        ("GET", "runningStreams/adobe/", 404),
        ("POST", "sessions/adobe/%FF", 400),
        ("POST", f"sessions/adobe/{'x' * 200}", 400),
        ("POST", f"{sessions}?channel=%FF", 400),
        ("POST", f"{sessions}?channel=..", 400),
        ("POST", f"{sessions}/x/y", 404),
    ):
        assert app.call(method, path).status == status, path
    assert app.call("POST", sessions, b"channel=" + b"x" * 70_000).status == 413
    assert service.watching(f"adobe:{app.subject}")["sessions"] == []


def test_a_page_of_another_origin_may_read_what_it_needs(app: App, service: Service) -> None:
    answer = app.create(channel="news")
    exposed = answer.headers["access-control-expose-headers"]
    assert {"Date", "Expires", "Location"} <= set(re.split(r",\s*", exposed))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-terminate"}
    preflight = service.call("OPTIONS", "/edge/adobe/v2/sessions/a/b", headers={"Origin": "https://tv.example"} | asked)
    assert "x-terminate" in preflight.headers["access-control-allow-headers"]
