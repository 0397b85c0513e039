"""One worker is cut off from the cluster for n·X and longer (rule 11); another one is not."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.e2e.partition import Cable, cable
from tests.service import Answer, Service, started, wait_until
from tests.streams import make_stream

X, N = 1.0, 3
EVERY_SECONDS = 0.2
SLACK_SECONDS = 0.6
"""Between two tries."""
BUSY_SECONDS = 1.5
"""For a machine that does other things beside."""

SEATS = ("tv", "phone", "pad")


class Sides:
    """The worker that is cut off, the other one, and what sits on the first."""

    def __init__(self, cut_off: Service, connected: Service, wire: Cable) -> None:
        self.cut_off, self.connected, self.wire = cut_off, connected, wire

    def beat(self, service: Service, user: str, session: str) -> Answer:
        started_at = time.monotonic()
        answer = service.post(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": "film"})
        assert time.monotonic() - started_at < X, "nobody waits for a store that is not there"
        return answer

    def sit(self, *users: str) -> float:
        """All seats are taken on the worker that will be cut off; when the last word of the store was."""
        for _ in range(2):
            for user in users:
                for session in SEATS:
                    assert self.beat(self.cut_off, user, session).status == 200
        return time.monotonic()

    def watch_until_refused(self, *users: str) -> float:
        """Everyone goes on; when (by our watch) the first was refused, with 503.

        What is answered before the first receipt got no answer in time is not marked; all else is.
        """
        unmarked: Counter[str] = Counter()
        while True:
            for user in users:
                for session in SEATS:
                    answer = self.beat(self.cut_off, user, session)
                    if answer.status != 200:
                        assert (answer.status, answer.json["code"]) == (503, "store-unavailable")
                        assert answer.headers["retry-after"]
                        return time.monotonic()
                    unmarked[user + session] += "streamlimit-degraded" not in answer.headers
                    assert max(unmarked.values()) <= 2
            time.sleep(EVERY_SECONDS)

    def seats(self, user: str) -> list[str]:
        """As both sides say, which agree."""
        found = [sorted(s["session_id"] for s in side.watching(user)["sessions"]) for side in self.both]
        assert found[0] == found[1]
        return found[0]

    @property
    def both(self) -> tuple[Service, Service]:
        return self.cut_off, self.connected


@pytest.fixture(scope="module")
def wired() -> Iterator[tuple[servers.Cluster, Cable]]:
    """The cluster, and the cable that leads to it."""
    with servers.cluster("redis") as cluster, cable([server.port for server in cluster.servers]) as wire:
        yield cluster, wire


@pytest.fixture
def sides(wired: tuple[servers.Cluster, Cable], tmp_path: Path) -> Iterator[Callable[..., Sides]]:
    """Opens both, with the given settings; the cable is whole again at the end."""
    cluster, wire = wired
    make_stream(tmp_path / "streams", "film", 20, 1_000)
    with ExitStack() as stack:
        stack.callback(wire.mend)

        def opened(**settings: Any) -> Sides:
            common = {
                "streams": str(tmp_path / "streams"),
                "store": cluster.url,
                "segment_seconds": X,
                "missed_segments": N,
            } | settings
            homes = tmp_path / "one", tmp_path / "two"
            for home in homes:
                home.mkdir()
            one = stack.enter_context(started(homes[0], wrapper=wire.wrapper, **common))
            two = stack.enter_context(started(homes[1], **common))
            return Sides(one, two, wire)

        yield opened


@pytest.mark.parametrize("extra", [0, 2])
def test_each_side_does_what_it_may_and_healed_they_agree(sides: Callable[..., Sides], extra: float) -> None:
    both, robbed, lucky = sides(outage_seconds=extra), f"robbed-{extra}", f"lucky-{extra}"
    last_word = both.sit(robbed, lucky)
    both.wire.cut()
    assert both.beat(both.cut_off, f"newcomer-{extra}", "tv").status == 503
    assert both.beat(both.connected, f"newcomer-{extra}", "tv").status == 200

    refused_at = both.watch_until_refused(robbed, lucky) - last_word
    assert N * X + extra - SLACK_SECONDS < refused_at < N * X + extra + BUSY_SECONDS

    give_away(both, robbed)
    assert both.beat(both.connected, robbed, "a-fourth").status == 409

    both.wire.mend()
    wait_until(lambda: both.cut_off.get("/readyz").status == 200, 10, "the healed connection")
    assert both.beat(both.cut_off, robbed, "tv").status == 409  # the limit wins
    for session in SEATS:
        assert both.beat(both.cut_off, lucky, session).status == 200
    assert both.seats(robbed) == ["a", "b", "c"]
    assert both.seats(lucky) == sorted(SEATS)


def give_away(both: Sides, user: str) -> None:
    """The other side seats three others, once those who are cut off have expired in the store's books."""

    def are_seated() -> bool:
        return {both.beat(both.connected, user, session).status for session in ("a", "b", "c")} == {200}

    wait_until(are_seated, 2, "their seats")


def test_a_short_partition_is_not_noticed_and_nothing_received_meanwhile_is_lost(sides: Callable[..., Sides]) -> None:
    both = sides()
    both.sit("ada")
    both.wire.cut()
    ends = time.monotonic() + (N - 1) * X
    while time.monotonic() < ends:
        for session in SEATS:
            assert both.beat(both.cut_off, "ada", session).status == 200
        assert both.beat(both.connected, "ada", "a-fourth").status == 409
        time.sleep(EVERY_SECONDS)
    received = time.time()
    both.wire.mend()
    wait_until(lambda: all_known_since(both.connected, received), 5, "what was kept to be told")
    assert both.seats("ada") == sorted(SEATS)


def all_known_since(service: Service, moment: float) -> bool:
    """Is every session's last activity, though nobody asked since, at most half a second before *moment*?"""
    sessions = service.watching("ada")["sessions"]
    times = [datetime.fromisoformat(session["last_activity_at"]).timestamp() for session in sessions]
    return len(times) == 3 and min(times) > moment - 0.5
