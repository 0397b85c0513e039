"""What judges a long run notices each thing that must not be, and excuses only what a rule allows."""

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from bench.soak.gauges import Gauge, Sample
from bench.soak.judge import Judge, Told, lost_events, slope

LIFE, KNOWN = 12.0, 8.0
HERE, THERE = 1, 2


@pytest.fixture
def judge() -> Judge:
    """Two seats a user."""
    return Judge(2, LIFE, KNOWN)


def watch(judge: Judge, *sessions: str, until: float = 4.0) -> None:
    """They sit for certain: each was answered every two seconds."""
    at = 0.0
    while at <= until:
        for session in sessions:
            judge.fed("ada", session, HERE, at, at + 0.1)
        at += 2


def found(judge: Judge) -> list[str]:
    return [finding.what for finding in judge.findings if not finding.allowed]


def test_who_is_fed_while_others_hold_all_seats_is_oversold(judge: Judge) -> None:
    watch(judge, "a", "b")
    assert found(judge) == []
    judge.fed("ada", "c", THERE, 5, 5.1)
    assert found(judge) == ["oversold"]
    assert judge.violations("oversold") == 1


def test_a_seat_that_came_free_may_be_given_away(judge: Judge) -> None:
    watch(judge, "a", "b")
    judge.leaves("ada", "b")
    judge.fed("ada", "c", HERE, 5, 5.1)
    judge.fed("bob", "c", HERE, 5, 5.1)
    assert found(judge) == []


@pytest.mark.parametrize(("at", "wrong"), [(1.9 + LIFE, ["oversold"]), (2 + LIFE, [])])
def test_a_seat_is_certain_for_n_x_after_what_was_confirmed_and_no_longer(
    judge: Judge, at: float, wrong: list[str]
) -> None:
    watch(judge, "a", "b")  # the newest that is confirmed was asked at 2
    judge.fed("ada", "c", HERE, at, at)
    assert found(judge) == wrong


def test_one_answer_makes_no_seat_certain_for_its_worker_may_die_of_it(judge: Judge) -> None:
    for session in ("a", "b", "c"):
        judge.fed("ada", session, HERE, 0, 0.1)
    assert found(judge) == []


def test_degraded_answers_make_no_seat_certain_for_the_store_may_not_know(judge: Judge) -> None:
    for at in (0.0, 2.0, 4.0):
        for session in ("a", "b"):
            judge.fed("ada", session, HERE, at, at, degraded=True)
    judge.fed("ada", "c", THERE, 5, 5)
    assert found(judge) == []


@pytest.mark.parametrize("code", ["session-limit", "store-unavailable", "session-shared", "session-terminated", "500"])
def test_who_sits_and_is_refused_is_found(judge: Judge, code: str) -> None:
    watch(judge, "a")
    judge.refused("ada", "a", HERE, code, 6)
    assert found(judge) == ["sitting refused"]


def test_who_does_not_sit_may_be_refused(judge: Judge) -> None:
    judge.refused("ada", "a", HERE, "session-limit", 6)
    watch(judge, "b")
    judge.leaves("ada", "b")
    judge.refused("ada", "b", HERE, "session-terminated", 6)
    watch(judge, "c")
    judge.refused("ada", "c", HERE, "session-limit", 2.1 + LIFE)
    assert judge.findings == []


def test_a_worker_that_never_met_the_session_may_not_know_it_in_an_outage(judge: Judge) -> None:
    watch(judge, "a")
    judge.refused("ada", "a", THERE, "store-unavailable", 5)
    assert found(judge) == []
    assert judge.findings[0].allowed
    judge.refused("ada", "a", HERE, "store-unavailable", 5)
    assert found(judge) == ["sitting refused"]


def test_only_lately_after_a_failover_may_a_seat_be_forgotten(judge: Judge) -> None:
    watch(judge, "a", "b")
    judge.breaks("store: kill -9", 4.5, forgets=True)
    judge.fed("ada", "c", HERE, 5, 5)
    assert found(judge) == []
    assert judge.findings[0].allowed
    watch(judge, "a", "b", until=40)
    judge.breaks("receiver: down", 40)
    judge.fed("ada", "d", HERE, 41, 41)
    assert found(judge) == ["oversold"]
    assert judge.findings[-1].after == "receiver: down"


def test_the_store_itself_may_not_show_more_than_the_limit(judge: Judge) -> None:
    judge.roster("ada", ["a", "b"], 1)
    assert found(judge) == []
    judge.roster("ada", ["a", "b", "c"], 2)
    assert found(judge) == ["oversold"]


def told(kind: str, session: str = "tv", generation: int = 1, id: str = "") -> Told:
    return Told(id or f"{kind}-{session}-{generation}", kind, "ada", session, generation)


def test_a_life_that_began_and_ended_lost_nothing_however_often_it_was_told() -> None:
    assert lost_events({("ada", "tv")}, [told("started"), told("expired"), told("expired")]) == []
    assert lost_events(set(), [told("abandoned")]) == []


def test_each_lost_event_is_found() -> None:
    assert lost_events({("ada", "tv")}, []) == ["ada/tv: no session.started"]
    assert lost_events(set(), [told("started")]) == ["ada/tv: began, never gone"]
    assert lost_events(set(), [told("started"), told("started", generation=2), told("ended", generation=2)]) == [
        "ada/tv: began, never gone"
    ]
    twice = [told("started"), told("ended"), told("expired")]
    assert lost_events(set(), twice) == ["ada/tv: gone twice"]


def test_the_slope_is_that_of_the_line_through_the_samples() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert slope([(0, 7), (5, 7)]) == 0
    assert slope([(0, 7)]) == 0


def test_what_grows_after_the_warm_up_is_not_flat() -> None:
    def verdict(memory: float, descriptors: float, seconds: int = 1_800) -> str:
        """Of one that grew by 50 MB while it warmed up, and then by so much an hour."""
        gauge = Gauge("a worker", 1)
        for at in range(0, seconds, 5):
            hours = at / 3_600
            gauge.samples.append(Sample(at, min(at, 50) + memory * hours, 20 + descriptors * hours))
        return gauge.verdict()

    assert verdict(0, 0) == "yes"
    assert verdict(15, 0) == verdict(0, 90) == "NO"
    assert verdict(15, 90, seconds=300) == "too short to say"


def test_descriptors_that_stay_open_when_all_have_gone_are_not_flat() -> None:
    gauge = Gauge("a worker", 1)
    gauge.samples = [Sample(at, 50, 200) for at in range(0, 1_800, 5)]
    gauge.samples[0] = Sample(0, 50, 30)
    assert gauge.verdict() == "NO"
    gauge.samples[-1] = Sample(1_795, 50, 50)
    assert gauge.verdict() == "yes"


HOLDER = """
import socket, sys
held = [socket.create_server(("127.0.0.1", 0))]
print(held[0].getsockname()[1], flush=True)
for line in sys.stdin:
    held.append(held[0].accept()[0] if line == "accept\\n" else open(line.strip(), "w"))
    print("done", flush=True)
"""
"""A process that tells its port, and holds a connection or a file more for each line."""


def test_connections_of_viewers_are_not_counted_as_descriptors(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLDER]
    with ExitStack() as stack:
        holder = stack.enter_context(subprocess.Popen(words, stdin=PIPE, stdout=PIPE, text=True, bufsize=1))
        stack.callback(holder.kill)
        assert holder.stdin is not None
        assert holder.stdout is not None
        port = int(holder.stdout.readline())
        gauge = Gauge("a worker", holder.pid, [port])
        before = gauge.look().descriptors
        for line, more in (("accept", 0), ("accept", 0), (str(tmp_path / "file"), 1)):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            holder.stdin.write(f"{line}\n")
            assert holder.stdout.readline() == "done\n"
            assert gauge.look().descriptors == before + more
