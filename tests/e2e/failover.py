"""A cluster under load whose primaries die and hang: what viewers notice of it. For the test and for the bench."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import servers
from tests.e2e.audience import SEGMENTS, STREAM, Audience
from tests.service import Service, started, wait_until
from tests.streams import make_stream

X, N, LIMIT = 2, 5, 3
PAUSE_SECONDS = 2.0
"""Of load before and after each fault."""


@contextmanager
def two_workers(folder: Path, store: str, **settings: Any) -> Iterator[list[Service]]:
    """Two services that share nothing but the store."""
    make_stream(folder / "streams", STREAM, SEGMENTS, 10_000)
    common = {"streams": str(folder / "streams"), "store": store, "segment_seconds": X, "missed_segments": N}
    homes = [folder / "one", folder / "two"]
    for home in homes:
        home.mkdir()
    with started(homes[0], **common | settings) as one, started(homes[1], **common | settings) as two:
        yield [one, two]


class Fault:
    """One fault and what was seen of it, in seconds from its moment."""

    def __init__(self, name: str, at: float, audience: Audience) -> None:
        self.name, self._at, self._audience = name, at, audience

    @property
    def last_refusal(self) -> float:
        """When a newcomer got its last 503."""
        newcomers = self._audience.newcomers.since(self._at).answers
        return max((answer.at - self._at for answer in newcomers if answer.status == 503), default=0.0)

    def figures(self, until: float) -> dict[str, Any]:
        """From its moment to *until*."""
        span = [answer for answer in self._audience.sitting.since(self._at).answers if answer.at < until]
        newcomers = [answer for answer in self._audience.newcomers.since(self._at).answers if answer.at < until]
        waits = sorted(answer.waited for answer in span)
        return {
            "fault": self.name,
            "answers to sitting viewers": len(span),
            "refused": sum(answer.status != 200 for answer in span),
            "longest wait (ms)": round(1_000 * waits[-1]),
            "99 % waited at most (ms)": round(1_000 * waits[len(waits) * 99 // 100]),
            "degraded answers": sum(answer.degraded for answer in span),
            "new sessions refused with 503": sum(answer.status == 503 for answer in newcomers),
            "last of them after (s)": round(self.last_refusal, 2),
        }


async def play_through(
    cluster: servers.Cluster, services: list[Service], users: int
) -> tuple[Audience, list[dict[str, Any]]]:
    """Kills one primary and hangs another while *users* with three sessions each watch."""
    audience = Audience([service.port for service in services], users)
    await audience.take_seats()
    await asyncio.sleep(PAUSE_SECONDS)
    figures = []
    for name in ("kill -9 of a primary", "SIGSTOP of another"):
        await asyncio.to_thread(cluster.wait_until_whole)
        victim = cluster.primaries()[0] if name.startswith("kill") else _another(cluster)
        fault = Fault(name, time.monotonic(), audience)
        victim.kill() if name.startswith("kill") else victim.hang()
        await asyncio.to_thread(_wait_for_refusals_to_end, fault)
        figures.append(fault.figures(time.monotonic()))
    victim.resume()
    await asyncio.sleep(PAUSE_SECONDS)
    await audience.leave()
    return audience, figures


def _another(cluster: servers.Cluster) -> servers.Server:
    """A primary that still has a replica."""
    rows = cluster.living().client.execute_command("CLUSTER SLOTS")
    return next(cluster.at(row[2][1]) for row in rows if len(row) > 3)


def _wait_for_refusals_to_end(fault: Fault) -> None:
    """Two quiet seconds, but not before the servers can have noticed."""
    begun = time.monotonic()

    def is_quiet() -> bool:
        now = time.monotonic() - begun
        return now > 4 and now - fault.last_refusal > 2

    wait_until(is_quiet, 30, "the end of the refusals")


async def over_limit(audience: Audience, port: int) -> dict[str, list[str]]:
    """Users with more sessions than they may have; asked of one worker."""
    found = {}
    for user in audience.users:
        sessions = await audience.seats_of(user, port)
        if len(sessions) > LIMIT:
            found[user] = sessions
    return found
