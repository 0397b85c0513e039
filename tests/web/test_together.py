"""What a worker on SQLite reads in one turn of its loop (heartbeats, receipts) is made together, and each is answered
to whoever sent it, in the order of its connection.
"""

import json
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import Client, connected, endpoint
from tests.service import Service, started, temporary_folder, wait_until
from tests.streams import BIG, make_stream

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"


@contextmanager
def with_streams() -> Iterator[Service]:
    """A service with a `film` of small segments and one of `big` ones."""
    with temporary_folder() as folder:
        make_stream(folder / "streams", "film", 10, 2_000)
        make_stream(folder / "streams", "big", 2)
        with started(folder, streams=str(folder / "streams"), segment_seconds=60) as service:
            yield service


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with with_streams() as service:
        yield service


@contextmanager
def clients(service: Service, number: int) -> Iterator[list[Client]]:
    """Connections that the server has accepted: each has had an answer."""
    with ExitStack() as stack:
        some = [stack.enter_context(connected(service.port)) for _ in range(number)]
        assert {client.send(HEALTH).whole()[0].status for client in some} == {200}
        yield some


def beat(user: str, session: str, stream: str = "film", request_id: str = "") -> bytes:
    body = json.dumps({"stream_id": stream})
    named = f"X-Request-Id: {request_id}\r\n" if request_id else ""
    return (
        f"POST /v1/users/{user}/sessions/{session}/heartbeat HTTP/1.1\r\nHost: t\r\n{named}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@contextmanager
def looking_away(service: Service) -> Iterator[None]:
    """All that is sent meanwhile is there when the server looks."""
    service.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: _state_of(service.process.pid) == "T", 5, "the server to stand still")
    try:
        yield
    finally:
        service.process.send_signal(signal.SIGCONT)


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def in_one_turn(service: Service, sent: Sequence[tuple[Client, bytes]]) -> None:
    with looking_away(service):
        for client, data in sent:
            client.send(data)


def answers(some: Sequence[Client]) -> list[tuple[int, Any]]:
    found = []
    for client in some:
        head, body = client.whole()
        found.append((head.status, json.loads(body)))
    return found


@pytest.mark.parametrize("times", [1, 5])
def test_each_is_answered_about_its_own_session(service: Service, user: str, times: int) -> None:
    with clients(service, 40) as some:
        for _ in range(times):
            in_one_turn(service, [(client, beat(f"{user}-{k}", f"tv-{k}")) for k, client in enumerate(some)])
            told = answers(some)
            assert [status for status, _ in told] == [200] * 40
            assert [(s["user_id"], s["session_id"]) for _, s in told] == [(f"{user}-{k}", f"tv-{k}") for k in range(40)]


def test_of_one_user_three_sit_and_the_others_are_told_why_not(service: Service, user: str) -> None:
    with clients(service, 8) as some:
        in_one_turn(service, [(client, beat(user, f"tv-{k}")) for k, client in enumerate(some)])
        told = answers(some)
        assert sorted(status for status, _ in told) == [200] * 3 + [409] * 5
        seated = {session["session_id"] for status, session in told if status == 200}
        for status, body in told:
            if status == 409:
                assert (body["code"], {each["session_id"] for each in body["sessions"]}) == ("session-limit", seated)
        assert {each["session_id"] for each in service.watching(user)["sessions"]} == seated


def test_what_is_wrong_with_one_is_only_its_own(service: Service, user: str) -> None:
    with clients(service, 4) as some:
        streams = ["film", "nowhere", "film", "film"]
        in_one_turn(service, [(c, beat(user + str(k), "tv", streams[k])) for k, c in enumerate(some)])
        assert [status for status, _ in answers(some)] == [200, 404, 200, 200]


def test_each_line_of_the_log_names_its_own_request(service: Service, user: str) -> None:
    with clients(service, 6) as some:
        in_one_turn(service, [(c, beat(f"{user}-{k}", "tv", request_id=f"{user}-no-{k}")) for k, c in enumerate(some)])
        assert [status for status, _ in answers(some)] == [200] * 6
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    named = {line["user_id"]: line["request_id"] for line in lines if line.get("user_id", "").startswith(f"{user}-")}
    assert named == {f"{user}-{k}": f"{user}-no-{k}" for k in range(6)}


def test_what_a_connection_sends_meanwhile_is_answered_after_it(service: Service, user: str) -> None:
    with clients(service, 6) as some:
        in_one_turn(service, [(client, beat(f"{user}-{k}", "tv")) for k, client in enumerate(some)])
        answers(some)
        several = [
            (
                client,
                beat(f"{user}-{k}", "tv") + beat(f"{user}-{k}", "pc") + HEALTH,
            )
            for k, client in enumerate(some)
        ]
        in_one_turn(service, several)
        first, second = answers(some), answers(some)
        assert [body["session_id"] for _, body in first] == ["tv"] * 6
        assert [body["session_id"] for _, body in second] == ["pc"] * 6
        assert [client.whole()[0].status for client in some] == [200] * 6


def test_who_left_meanwhile_is_no_trouble_for_the_others(service: Service, user: str) -> None:
    with clients(service, 6) as some:
        with looking_away(service):
            for k, client in enumerate(some):
                client.send(beat(f"{user}-{k}", "tv"))
            for client in some[::2]:
                client.close()
        assert [status for status, _ in answers(some[1::2])] == [200] * 3
        in_one_turn(service, [(client, beat(f"{user}-{k}", "tv")) for k, client in enumerate(some) if k % 2])
        assert [status for status, _ in answers(some[1::2])] == [200] * 3


def test_a_segment_is_received_before_the_next_request_is_looked_at(service: Service, user: str) -> None:
    with clients(service, 12) as some:
        for expected in range(6):  # no segment is named: the next one is issued, or the same where it is not on record
            in_one_turn(service, [(client, endpoint(f"{user}-{k}", "tv", "film")) for k, client in enumerate(some)])
            assert [client.answer().sequence for client in some] == [expected] * 12


def test_who_half_closes_behind_a_request_that_waits_is_answered(service: Service, user: str) -> None:
    with clients(service, 6) as some:
        for client, number in zip(some, range(6), strict=True):
            client.send(endpoint(f"{user}-{number}", "tv", "film")).answer()
        with looking_away(service):
            for number, client in enumerate(some):
                client.send(endpoint(f"{user}-{number}", "tv", "film"))
                client.socket.shutdown(socket.SHUT_WR)
        assert [client.answer().sequence for client in some] == [1] * 6
        assert [client.rest() for client in some] == [b""] * 6


def test_much_that_is_sent_behind_a_long_answer_is_answered_in_order(service: Service, user: str) -> None:
    beats = 1_500
    with connected(service.port) as client:
        client.send(endpoint(user, "tv", "big"))
        assert client.head().length == BIG
        sender = threading.Thread(target=client.send, args=(b"".join(beat(f"{user}-{k}", "tv") for k in range(beats)),))
        sender.start()
        assert client.read(BIG) == BIG
        told = [client.whole() for _ in range(beats)]
        sender.join()
    assert [json.loads(body)["user_id"] for _, body in told] == [f"{user}-{k}" for k in range(beats)]
