"""Outages of the store over HTTP: what each setting promises, and how it is marked, counted and logged (rule 11)."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.e2e.clients import GRANT_KEY, connected, play
from tests.service import OPERATOR_KEY, Answer, Service, started, wait_until
from tests.streams import make_stream

X, N = 2.0, 3
WAIT_SECONDS = 0.3
"""No viewer waits longer for a store that hangs; and the time that this machine takes beside other tests."""
SLACK_SECONDS = 0.4


@pytest.fixture
def server() -> Iterator[servers.Server]:
    with servers.single("valkey") as one:
        yield one


@pytest.fixture
def start(tmp_path: Path, server: servers.Server) -> Iterator[Callable[..., Service]]:
    """A worker on that server; a second call starts another one, with a log of its own."""
    make_stream(tmp_path / "streams", "film", 30, 1_000)
    with ExitStack() as stack:

        def opened(**settings: Any) -> Service:
            home = tmp_path / f"worker-{len(list(tmp_path.iterdir()))}"
            home.mkdir()
            common = {"streams": str(tmp_path / "streams"), "store": server.url, "grant_keys": [GRANT_KEY]}
            return stack.enter_context(
                started(home, **common | {"segment_seconds": X, "missed_segments": N} | settings)
            )

        yield opened


def segment(service: Service, session: str, number: int | None = None, user: str = "ada") -> Answer:
    """Nobody waits longer than that."""
    named = {} if number is None else {"segment": f"{number}.ts"}
    began = time.monotonic()
    answer = service.segment(user, session, "film", **named)
    assert time.monotonic() - began < WAIT_SECONDS + SLACK_SECONDS
    return answer


def is_degraded(answer: Answer) -> bool:
    return answer.headers.get("streamlimit-degraded") == "true"


def lines(service: Service, event: str) -> int:
    return len(logged(service, event))


def logged(service: Service, event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in service.log().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


def metric(service: Service, name: str) -> float:
    text = service.get("/metrics", key=OPERATOR_KEY).body.decode()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


@pytest.mark.parametrize("fault", ["kill", "hang"])
def test_who_sits_goes_on_new_ones_wait_and_all_is_marked_counted_and_logged_once(
    start: Callable[..., Service], server: servers.Server, fault: str
) -> None:
    service = start()
    for number in range(2):
        assert segment(service, "tv", number).status == 200
    server.hang() if fault == "hang" else server.kill()
    answers = [segment(service, "tv", number) for number in range(2, 5)]
    answers += [segment(service, "tv"), segment(service, "tv")]  # and those who do not name their segment
    assert [answer.status for answer in answers] == [200] * 5
    assert [answer.headers["streamlimit-sequence"] for answer in answers] == ["2", "3", "4", "5", "6"]
    assert is_degraded(answers[-1])
    for _ in range(3):
        refused = segment(service, "phone", 0)
        assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (503, "store-unavailable", "2")
    assert service.get("/readyz").status == 503
    why = "the store: it does not" if fault == "hang" else "the store: nothing listens"
    wait_until(lambda: service.get("/readyz").json["detail"].startswith(why), 10, "the reason")
    assert service.get("/healthz").status == 200
    assert (lines(service, "store_away"), lines(service, "store_back")) == (1, 0)
    assert metric(service, "streamlimit_degraded_total") == sum(map(is_degraded, answers))
    assert (metric(service, "streamlimit_store_away"), metric(service, "streamlimit_kept")) == (1, 1)

    server.resume() if fault == "hang" else server.restart()
    wait_until(lambda: lines(service, "store_back") == 1, 10, "the end of the outage")
    assert service.watching("ada")["sessions"][0]["segment"] == "6.ts"  # even a server that lost everything
    assert segment(service, "phone", 0).status == 200
    assert not is_degraded(segment(service, "tv", 7))
    assert (lines(service, "store_away"), metric(service, "streamlimit_kept")) == (1, 0)
    assert not any("request_id" in line for event in ("store_away", "store_back") for line in logged(service, event))
    assert "None" not in [line.get("cause") for line in logged(service, "refused")]


NOTES = {
    "keep-known": "who holds a seat goes on; new sessions are refused with 503",
    "admit-all": "who holds a seat goes on; new sessions are admitted, also beyond the limit",
    "refuse-all": "everyone is refused with 503, also who holds a seat",
}


@pytest.mark.parametrize("on_outage", NOTES)
def test_a_killed_store_is_noticed_though_nobody_asks_and_the_very_first_answers_say_so(
    start: Callable[..., Service], server: servers.Server, on_outage: str
) -> None:
    service = start(on_store_outage=on_outage)
    with connected(service.port) as player:
        for number in range(2):
            assert segment(service, "tv", number).status == 200
            assert player.send(play("ada", "phone", "film", f"{number}.ts")).answer().status == 200
        time.sleep(WAIT_SECONDS)  # nothing is under way
        server.kill()
        wait_until(lambda: lines(service, "store_away") == 1, 2, "the end of the connection to be noticed")
        assert f'"note":"{NOTES[on_outage]}"' in service.log()
        first, played = segment(service, "tv", 2), player.send(play("ada", "phone", "film", "2.ts")).answer()
        if on_outage == "refuse-all":
            assert (first.status, played.status) == (503, 503)
        else:
            assert (first.status, is_degraded(first)) == (200, True)
            assert (played.status, played.headers["streamlimit-degraded"]) == (200, "true")
    assert metric(service, "streamlimit_degraded_total") == (0 if on_outage == "refuse-all" else 2)


def test_with_outage_seconds_the_log_says_whom_they_are_for(
    start: Callable[..., Service], server: servers.Server
) -> None:
    service = start(outage_seconds=30)
    server.kill()
    wait_until(lambda: lines(service, "store_away") == 1, 2, "the outage to be noticed")
    assert "are refused with 503, but for 30 s not those with a valid grant" in service.log()


def test_refuse_all_refuses_those_who_sit(start: Callable[..., Service], server: servers.Server) -> None:
    service = start(on_store_outage="refuse-all")
    assert segment(service, "tv", 0).status == 200
    server.kill()
    # Who comes first finds out: its confirmation, which nobody waits for, is not answered.
    wait_until(lambda: segment(service, "tv", 1).status == 503, 5, "the outage to be noticed")
    assert segment(service, "tv", 2).status == 503


def test_admit_all_admits_everyone_and_the_limit_wins_afterwards(
    start: Callable[..., Service], server: servers.Server
) -> None:
    service = start(on_store_outage="admit-all")
    server.kill()
    sessions = ["a", "b", "c", "d", "e"]
    for session in sessions:
        answer = segment(service, session)
        assert (answer.status, is_degraded(answer), answer.headers["streamlimit-sequence"]) == (200, True, "0")
    assert segment(service, "a").headers["streamlimit-sequence"] == "1"
    server.restart()
    wait_until(lambda: lines(service, "store_back") == 1, 10, "the end of the outage")
    seated = [session["session_id"] for session in service.watching("ada")["sessions"]]
    assert len(seated) == 3
    assert {session: segment(service, session, 2).status for session in sessions} == {
        session: 200 if session in seated else 409 for session in sessions
    }


def test_a_dry_run_refuses_nobody_in_an_outage_either(start: Callable[..., Service], server: servers.Server) -> None:
    service = start(enforce=False)
    server.kill()
    assert segment(service, "tv", 0).status == 200


def test_a_worker_started_anew_in_an_outage_goes_on_with_unexpired_grants_for_outage_seconds(
    start: Callable[..., Service], server: servers.Server
) -> None:
    with connected(start(outage_seconds=3).port) as first:
        assert first.send(play("ada", "tv", "film", "0.ts")).answer().status == 200
    server.hang()
    service = start_anew(start)
    began = time.monotonic()
    with connected(service.port) as client:
        for session in ("tv", "phone", "pad"):
            answer = client.send(play("ada", session, "film", "1.ts")).answer()
            assert (answer.status, answer.headers["streamlimit-degraded"]) == (200, "true")
        assert client.send(play("ada", "a-fourth", "film", "1.ts")).answer().status == 503
        assert segment(service, "without-a-grant", 0, user="bob").status == 503
        server.resume()
        wait_until(lambda: lines(service, "store_back") == 1, 10, "the end of the outage")
        assert time.monotonic() - began < N * X  # so that the seat is still the one of before
        sessions = {session["session_id"]: session for session in service.watching("ada")["sessions"]}
        assert sorted(sessions) == ["pad", "phone", "tv"]
        assert sessions["tv"]["started_at"] <= sessions["phone"]["started_at"]


def start_anew(start: Callable[..., Service]) -> Service:
    """/readyz says no while the store is away, so readiness is not awaited."""
    return start(outage_seconds=3, awaited="/healthz")
