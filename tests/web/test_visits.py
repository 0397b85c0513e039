"""How many streams a tool can watch (rule 13), by HTTP: visits are counted, and people who zap are never refused.

X is a minute here: while a test runs no visit comes back, so what is admitted is the burst, and no clock decides.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service import OPERATOR_KEY, Answer, Service, started, temporary_folder
from tests.web.streams import Client, make_long

BURST, X = 10, 60
STREAMS = [f"s{k}" for k in range(20)]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", *STREAMS, segments=5)
        settings = {"streams": str(streams), "segment_seconds": X, "visit_burst": BURST, "max_sessions": 1}
        with started(folder, **settings) as service:
            yield service


def is_too_many(answer: Answer) -> bool:
    """Is it the refusal of a visit, that says when to come again?"""
    if answer.status != 429 or answer.json["code"] != "too-many-visits":
        return False
    return 0 < int(answer.headers["retry-after"]) <= 2 * X


@pytest.mark.parametrize("way", ["ended", "replaced"])
def test_a_fresh_session_a_visit_gets_the_burst_and_who_watches_goes_on(service: Service, user: str, way: str) -> None:
    for visit in range(BURST):
        form = {"replace": f"tv-{visit - 1}"} if way == "replaced" and visit else {}
        for _ in range(3):
            assert service.segment(user, f"tv-{visit}", STREAMS[visit], **form).status == 200
        if way == "ended" and visit < BURST - 1:
            service.post(f"/v1/users/{user}/sessions/tv-{visit}/end")
    form = {"replace": f"tv-{BURST - 1}"}
    assert is_too_many(service.segment(user, "more", "s19", **form))
    opening = {"user_id": user, "session_id": "more", "stream_id": "s19"} | form
    assert is_too_many(service.post("/v1/sessions", opening))
    beat = f"/v1/users/{user}/sessions/tv-{BURST - 1}/heartbeat"
    assert is_too_many(service.post(beat, {"stream_id": "s19"}))
    assert service.post(beat, {"stream_id": STREAMS[BURST - 1]}).status == 200
    assert service.segment(user, f"tv-{BURST - 1}", STREAMS[BURST - 1]).headers["streamlimit-sequence"] == "3"
    assert [each["session_id"] for each in service.watching(user)["sessions"]] == [f"tv-{BURST - 1}"]


def test_twenty_streams_at_one_moment_from_twenty_addresses_are_the_burst(service: Service, user: str) -> None:
    grant = Client(service, "127.0.0.1").open(user, "tv", "s0")["grant"]
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(Client(service, f"127.0.0.{k + 2}").play, grant, f"s{k}", 0) for k in range(20)]
    answers = [each.result() for each in asked]
    let_in = [answer.status for answer in answers].count(200)
    assert let_in in (BURST - 1, BURST)  # the session's own stream is paid for, if it comes first
    assert all(answer.status == 200 or is_too_many(answer) for answer in answers)
    sits = service.watching(user)["sessions"][0]["stream_id"]
    assert Client(service, "127.0.0.1").play(grant, sits, 1).status == 200


def test_a_playlist_tells_already_that_there_is_no_budget(service: Service, user: str) -> None:
    told = Client(service, "127.0.0.1").open(user, "tv", "s0")
    for k in range(1, BURST):
        assert service.segment(user, "tv", f"s{k}").status == 200
    url = told["playback_url"].replace("/s0/", "/s19/")
    assert is_too_many(service.get(url))
    assert service.get(url.replace("/s19/", f"/s{BURST - 1}/")).status == 200


@pytest.mark.parametrize(("way", "ring"), [("one session", 4), ("a session a channel", 8)])
def test_a_minute_of_zapping_is_never_refused(service: Service, user: str, way: str, ring: int) -> None:
    """Sixty channels, with the budget of sixty; that they come faster here gives nothing back meanwhile."""
    service.call("PUT", f"/v1/users/{user}/limit", {"max_sessions": 60 // BURST}, key=OPERATOR_KEY)
    screen = Client(service, "127.0.0.1")
    for k in range(60):
        name = "tv" if way == "one session" else f"tv-{k}"
        told = screen.open(user, name, f"s{k % ring}")
        assert screen.call("GET", told["playback_url"]).status == 200
        assert screen.play(told["grant"], f"s{k % ring}", 0).status == 200
        if way != "one session":
            screen.call("POST", f"/v1/users/{user}/sessions/{name}/end")
    assert is_too_many(service.segment(user, "tv", "s19"))


def test_a_pre_roll_and_its_film_on_one_session_are_never_refused(service: Service, user: str) -> None:
    """Each advert, watched to its end, gives its visit back: eight films with adverts, and a budget of ten."""
    screen = Client(service, "127.0.0.1")
    for film in range(8):
        for stream, segments in ((f"s{film + 10}", 5), (f"s{film}", 2)):
            told = screen.open(user, "tv", stream)
            assert screen.call("GET", told["playback_url"]).status == 200
            assert {screen.play(told["grant"], stream, number).status for number in range(segments)} == {200}
    assert service.watching(user)["live_sessions"] == 1
