"""Failover under load (rule 11): a primary dies, another hangs, and sessions with a seat do not notice."""

import asyncio
from pathlib import Path

from tests import servers
from tests.e2e.failover import X, over_limit, play_through, two_workers

BACK_SECONDS = 30.0  # that it comes back; how soon is measured by bench/failover.py
USERS = 100


def test_a_killed_and_a_hanging_primary_are_not_noticed_by_those_who_sit(tmp_path: Path) -> None:
    with servers.cluster("redis", node_timeout_ms=1_000) as cluster, two_workers(tmp_path, cluster.url) as services:
        audience, figures = asyncio.run(play_through(cluster, services, USERS))
        sitting = audience.sitting
        assert sitting.broken == []
        assert set(sitting.statuses) == {200}
        assert sitting.longest < X
        for fault in figures:
            assert fault["degraded answers"] > 0
            assert fault["new sessions refused with 503"] > 0
            assert fault["last of them after (s)"] < BACK_SECONDS
        assert set(audience.newcomers.statuses) == {200, 503}
        assert all(answer.retry_after for answer in audience.newcomers.answers if answer.status == 503)
        assert set(audience.fourth.statuses) <= {409, 503, 429}
        seated = asyncio.run(audience.seats_of(audience.users[0], services[0].port))
        assert sorted(seated) == ["tv-0", "tv-1", "tv-2"]
        for service in services:
            assert asyncio.run(over_limit(audience, service.port)) == {}
            assert service.log().count("store_away") in (2, 3, 4)  # one an outage, which a busy machine may cut in two
            assert "Traceback" not in service.log()
