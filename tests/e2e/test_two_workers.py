"""Two workers that share a Valkey server and nothing else: a change through one takes effect on the other."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from streamlimit.cache import AHEAD
from tests import servers
from tests.e2e.clients import connected, endpoint
from tests.service import OPERATOR_KEY, Answer, Service, started
from tests.streams import make_stream

ANSWER_SECONDS = 0.1
"""Within so long a receipt is seen from anywhere, and its answer known to the worker that sent it."""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    folder = tmp_path_factory.mktemp("two")
    make_stream(folder / "streams", "film", 20, 1_000)
    make_stream(folder / "streams", "large", 4, 3_000_000)
    with ExitStack() as stack:
        server = stack.enter_context(servers.single("valkey"))
        found = []
        for name in ("one", "two"):
            (home := folder / name).mkdir()
            service = started(home, store=server.url, streams=str(folder / "streams"), segment_seconds=5)
            found.append(stack.enter_context(service))
        yield found


def beat(service: Service, user: str) -> Answer:
    return service.post(f"/v1/users/{user}/sessions/tv/heartbeat", {"stream_id": "film"})


@pytest.mark.parametrize("kind", ["segment", "heartbeat"])
@pytest.mark.parametrize("which", ["/tv", ""], ids=["one", "all"])
def test_a_termination_on_one_worker_bites_on_the_other_at_the_next_request_but_one(
    workers: list[Service], kind: str, which: str
) -> None:
    user, (here, elsewhere) = f"{kind}-{len(which)}", workers

    def ask(service: Service, number: int) -> Answer:
        return (
            beat(service, user) if kind == "heartbeat" else service.segment(user, "tv", "film", segment=f"{number}.ts")
        )

    for number in range(3):
        for service in workers:
            assert ask(service, number).status == 200
    terminated = elsewhere.call("DELETE", f"/v1/users/{user}/sessions{which}?reason=moved", key=OPERATOR_KEY)
    assert terminated.status == 204
    assert ask(elsewhere, 4).status == 410
    assert ask(here, 4).status in (200, 410)
    time.sleep(ANSWER_SECONDS)
    for number in (5, 6):
        answer = ask(here, number)
        assert (answer.status, answer.json["by"], answer.json["reason"]) == (410, "operator", "moved")


@pytest.mark.parametrize("kind", ["segment", "heartbeat"])
@pytest.mark.parametrize("place", ["/v1/sessions", "/v1/segments"])
def test_who_is_replaced_is_refused_at_once_by_the_worker_that_saw_it(
    workers: list[Service], kind: str, place: str
) -> None:
    here, user = workers[0], f"replacer-{kind}-{place[4:]}"
    for session in ("tv", "phone", "pad"):
        for number in range(2):
            assert here.segment(user, session, "film", segment=f"{number}.ts").status == 200
    form = {"user_id": user, "session_id": "box", "stream_id": "film", "replace": "tv"}
    assert here.post(place, form).status in (200, 201)
    for number in range(2, 5):
        answer = here.segment(user, "tv", "film", segment=f"{number}.ts") if kind == "segment" else beat(here, user)
        assert answer.status == 410


def test_beats_in_one_breath_do_not_outrun_a_termination_on_the_other_worker(workers: list[Service]) -> None:
    here, elsewhere = workers
    form = b'{"stream_id":"film"}'
    head = f"POST /v1/users/breathless/sessions/tv/heartbeat HTTP/1.1\r\nHost: t\r\nContent-Length: {len(form)}\r\n\r\n"
    for _ in range(2):
        assert beat(here, "breathless").status == 200
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(here.port)) for _ in range(8)]
        elsewhere.call("DELETE", "/v1/users/breathless/sessions/tv?reason=moved", key=OPERATOR_KEY)
        for client in clients:
            client.send(head.encode() + form)
        answers = [client.answer().status for client in clients]
    assert answers.count(200) <= 1


def test_segments_in_one_breath_outrun_a_termination_on_the_other_worker_by_two_at_most(
    workers: list[Service],
) -> None:
    """None of them is received before all are asked for: their answers are larger than what a socket takes."""
    here, elsewhere = workers
    for number in range(2):
        assert here.segment("burst", "tv", "large", segment=f"{number}.ts").status == 200
    time.sleep(ANSWER_SECONDS)
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(here.port, receive_buffer=4096)) for _ in range(12)]
        elsewhere.call("DELETE", "/v1/users/burst/sessions/tv?reason=moved", key=OPERATOR_KEY)
        for client in clients:
            client.send(endpoint("burst", "tv", "large", "2.ts"))
        answers = [client.head().status for client in clients]
    assert set(answers) <= {200, 410, 429}
    assert answers.count(200) <= AHEAD


def test_an_end_on_one_worker_frees_the_seat_on_the_other_at_once(workers: list[Service]) -> None:
    here, elsewhere = workers
    for session in ("tv", "phone", "pad"):
        assert here.segment("ender", session, "film").status == 200
    assert elsewhere.segment("ender", "box", "film").status == 409
    assert here.post("/v1/users/ender/sessions/pad/end").status == 204
    assert elsewhere.segment("ender", "box", "film").status == 200
    assert here.segment("ender", "pad", "film").status == 409


def test_a_session_may_change_the_worker_at_every_segment(workers: list[Service]) -> None:
    for number in range(8):
        answer = workers[number % 2].segment("nomad", "tv", "film")
        assert (answer.status, answer.headers["streamlimit-sequence"]) == (200, str(number))
        time.sleep(ANSWER_SECONDS)
    assert workers[0].watching("nomad")["live_sessions"] == 1
