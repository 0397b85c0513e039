"""Players that hammer after a refusal, against the running service: 429 from memory, without harm to others."""

import http.client
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count, islice
from typing import Any

import pytest

from streamlimit.limiter import Limiter
from streamlimit.model import Ask, Refusal
from streamlimit.policy import Policy
from streamlimit.refusal_limiter import REFUSALS, RefusalLimiter
from streamlimit.store.memory import MemoryStore
from streamlimit.web.hammering import Hammering
from tests.http import raw
from tests.service import OPERATOR_KEY, Service, service_of_file

service = service_of_file(segment_seconds=60)


class Hammer:
    """One connection, kept open."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)

    def ask(self, user: str, session: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
        body = json.dumps({"user_id": user, "session_id": session, "stream_id": "orchard"} | more)
        self._connection.request("POST", "/v1/segments", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


class Line:
    """One connection, to which a request goes in one piece, as many players send it."""

    def __init__(self, service: Service) -> None:
        self._line = socket.create_connection(("127.0.0.1", service.port), 30)
        self._answers = self._line.makefile("rb")

    def ask(self, user: str, session: str, *headers: str) -> bytes:
        """The answer as it came, but for its date."""
        self._line.sendall(_beat(user, session, *headers))
        return self._answer()

    def ask_at_once(self, user: str, sessions: Sequence[str]) -> Counter[int]:
        """How often which status came, of requests none of which waits for another's answer."""
        self._line.sendall(b"".join(_beat(user, session) for session in sessions))
        return Counter(int(self._answer()[9:12]) for _ in sessions)

    def _answer(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += (line := self._answers.readline())
            assert line, "it goes on"
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        return re.sub(rb"date: [^\r]*", b"date: now", head) + self._answers.read(length)


def _beat(user: str, session: str, *headers: str) -> bytes:
    return raw.post(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": "orchard"}, *headers)


def _fill(service: Service, user: str) -> None:
    for session in "abc":
        assert service.segment(user, session, "orchard").status == 200


def _store_calls(service: Service) -> int:
    for line in service.get("/metrics").body.decode().splitlines():
        if line.startswith("streamlimit_store_calls_total"):
            return int(float(line.split()[-1]))
    return 0


def test_a_hammering_session_is_told_to_wait_and_the_store_is_left_alone(service: Service) -> None:
    _fill(service, "ann")
    hammer = Hammer(service)
    assert hammer.ask("ann", "d")[0] == 409
    before, began = _store_calls(service), time.monotonic()
    answers: Counter[int] = Counter()
    while time.monotonic() - began < 1.5 or answers[429] <= 50:
        status, headers, body = hammer.ask("ann", "d")
        answers[status] += 1
        if status == 429:
            assert headers["retry-after"] == "1"
            assert headers["content-type"] == "application/problem+json"
            assert json.loads(body)["code"] == "too-many-requests"
    assert answers.keys() <= {409, 429}
    assert _store_calls(service) - before <= (REFUSALS + 5) * max(1, (time.monotonic() - began) / 1.5)
    time.sleep(1.05)
    assert hammer.ask("ann", "d")[0] == 409, "who waits as told hears from the store"


def test_a_storm_of_made_up_sessions_costs_nearly_no_store_and_nobody_who_sits_notices(service: Service) -> None:
    _fill(service, "bob")
    stop, sitting = threading.Event(), Counter[int]()

    def watch() -> None:
        player = Hammer(service)
        while not stop.is_set():
            sitting[player.ask("bob", "a")[0]] += 1
            time.sleep(0.01)

    player = threading.Thread(target=watch)
    player.start()
    hammer, answers, names = Line(service), Counter[int](), map("x{}".format, count())
    while not hammer.ask_at_once("bob", list(islice(names, 100)))[429]:
        pass  # the storm is not noticed yet
    began = time.monotonic()
    while time.monotonic() - began < 2 or answers[429] <= 100 or sitting.total() <= 20:
        answers += hammer.ask_at_once("bob", list(islice(names, 100)))
    seconds = time.monotonic() - began
    stop.set()
    player.join()
    assert sitting.keys() <= {200, 204}, "never refused, never told to wait; at last the stream is over"
    assert answers[409] <= seconds * 10 + 3
    assert service.segment("bob", "b", "orchard").status == 200


def test_a_seat_that_comes_free_is_given_within_a_second_or_so(service: Service) -> None:
    _fill(service, "cid")
    hammer = Hammer(service)
    for _ in range(20):
        hammer.ask("cid", "d")
    service.call("DELETE", "/v1/users/cid/sessions/a")
    deadline = time.monotonic() + 20
    while hammer.ask("cid", "d")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("way", ["raised", "own one removed"])
def test_a_limit_that_is_raised_ends_the_waiting_at_once(service: Service, way: str) -> None:
    user = f"lim-{len(way)}"
    path = f"/v1/users/{user}/limit"
    _fill(service, user)
    if way != "raised":
        service.call("DELETE", f"/v1/users/{user}/sessions/c")
        assert service.call("PUT", path, {"max_sessions": 2}, key=OPERATOR_KEY).status == 200
    hammer = Hammer(service)
    while hammer.ask(user, "d")[0] != 429:
        pass
    if way == "raised":
        assert service.call("PUT", path, {"max_sessions": 4}, key=OPERATOR_KEY).status == 200
    else:
        assert service.call("DELETE", path, key=OPERATOR_KEY).status == 204
    assert hammer.ask(user, "d")[0] == 200


def test_the_owners_choice_is_heard_while_the_player_hammers(service: Service) -> None:
    _fill(service, "dan")
    hammer = Hammer(service)
    while hammer.ask("dan", "d")[0] != 429:
        pass
    form = {"user_id": "dan", "session_id": "d", "stream_id": "orchard", "replace": "b"}
    assert service.post("/v1/sessions", form).status == 201
    assert hammer.ask("dan", "d")[0] == 200, "at once: it sits"


@pytest.mark.parametrize("path", ["heartbeat", "sessions", "play"])
def test_every_door_is_guarded(service: Service, path: str) -> None:
    user = f"eve-{path}"
    grant = service.post("/v1/sessions", {"user_id": user, "session_id": "d", "stream_id": "orchard"}).json["grant"]
    service.call("DELETE", f"/v1/users/{user}/sessions/d", key=OPERATOR_KEY)  # 410 from now on

    def ask() -> int:
        if path == "heartbeat":
            return service.post(f"/v1/users/{user}/sessions/d/heartbeat", {"stream_id": "orchard"}).status
        if path == "sessions":
            return service.post("/v1/sessions", {"user_id": user, "session_id": "d", "stream_id": "orchard"}).status
        return service.get(f"/play/{grant}/orchard/master.m3u8").status

    answers = Counter(ask() for _ in range(4 * REFUSALS))
    assert answers.keys() == {410, 429}


def test_what_is_answered_from_memory_is_counted_and_not_logged_each_time(service: Service) -> None:
    _fill(service, "fay")
    hammer = Hammer(service)
    for _ in range(200 + REFUSALS):
        hammer.ask("fay", "d")
    assert service.get("/v1/stats", key=OPERATOR_KEY).json["refusals"]["too-many-requests"] >= 190
    assert service.log().count("too-many-requests") == 0


VARYING = re.compile(rb"(?<=x-request-id: )[^\r]*|(?<=retry_after_seconds\":)[0-9.]*|(?<=content-length: )\d+")


def test_the_answer_is_the_same_whether_the_request_was_read_or_came_again(service: Service) -> None:
    _fill(service, "gil")
    line, answers = Line(service), list[bytes]()
    while len(answers) < 200:
        answer = line.ask("gil", "d")
        if answer.startswith(b"HTTP/1.1 429"):
            answers.append(answer)
    assert len({VARYING.sub(b"", answer) for answer in answers}) == 1
    ids = [re.findall(rb"x-request-id: (.*)\r", answer) for answer in answers]
    assert len({str(each) for each in ids}) == len(answers), "each has an id of its own"
    for answer in answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        document = json.loads(body)
        assert b"content-length: %d\r" % len(body) in head
        assert 0 < document.pop("retry_after_seconds") <= 1
        assert document == {
            "type": "/problems/too-many-requests",
            "title": "Too many requests",
            "status": 429,
            "detail": "refused again and again; wait before the next request",
            "code": "too-many-requests",
        }


def test_the_callers_own_request_id_is_told_back_each_time(service: Service) -> None:
    _fill(service, "hal")
    line, answers = Line(service), list[bytes]()
    while len(answers) < 100:
        answers.append(line.ask("hal", "d", "X-Request-Id: mine"))
    assert all(b"x-request-id: mine\r\n" in answer for answer in answers)


def test_each_is_counted(service: Service) -> None:
    def counted() -> tuple[int, float]:
        refusals = service.get("/v1/stats", key=OPERATOR_KEY).json["refusals"].get("too-many-requests", 0)
        wanted = 'streamlimit_problems_total{code="too-many-requests"}'
        metrics = service.get("/metrics").body.decode().splitlines()
        return refusals, next((float(each.split()[-1]) for each in metrics if each.startswith(wanted)), 0)

    _fill(service, "ian")
    before, line = counted(), Line(service)
    answers = [line.ask("ian", "d") for _ in range(300)]
    refused = sum(answer.startswith(b"HTTP/1.1 429") for answer in answers)
    assert refused >= 200
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == (refused, refused)


def test_a_request_is_answered_unread_for_a_second_at_most() -> None:
    """Then its credential is looked at again, however long others have the same session held."""
    now, guard, ask = 100.0, RefusalLimiter(clock=lambda: 0.0), Ask("u", "d", "news")
    for _ in range(REFUSALS + 1):
        guard.note(ask, Refusal("session-limit", 3, 3))
    limiter = Limiter(MemoryStore(Policy()), guard=guard)
    again = Hammering(limiter, ask, {}, lambda: now)
    assert again()
    now += 0.99
    assert again()
    assert limiter.tally.refusals["too-many-requests"] == limiter.tally.problems["too-many-requests"] == 2
    now += 0.01
    assert again() is None


def test_a_seat_that_is_freed_here_is_given_to_who_hammers_at_once(service: Service) -> None:
    _fill(service, "joy")
    line = Line(service)
    while not line.ask("joy", "d").startswith(b"HTTP/1.1 429"):
        pass
    assert line.ask("joy", "d").startswith(b"HTTP/1.1 429")
    service.call("DELETE", "/v1/users/joy/sessions/a")
    assert line.ask("joy", "d").startswith(b"HTTP/1.1 200")
