"""The longest times that may be set: a seat that lasts for weeks is given and kept as any other, on both stores."""

from collections.abc import Iterator
from typing import Any

import pytest

from streamlimit.settings.kinds import LONGEST_SECONDS
from tests.service import Service, started_on, temporary_folder

DAY = 86_400
LONGEST: dict[str, Any] = {
    "segment_seconds": LONGEST_SECONDS / 1_000, "missed_segments": 1_000, "start_seconds": LONGEST_SECONDS,
    "buffer_seconds": DAY, "paused_seconds": DAY, "outage_seconds": DAY, "visit_burst": 10_000,
}  # fmt: skip


@pytest.fixture(params=["sqlite", "redis"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with temporary_folder() as folder, started_on(request.param, folder, **LONGEST) as service:
        yield service


def test_the_longest_seat_is_given_and_kept(service: Service, user: str) -> None:
    form = {"user_id": user, "session_id": "a", "stream_id": "orchard"}
    assert service.post("/v1/sessions", form).status == 201
    for _ in range(2):
        assert service.post("/v1/segments", form).status == 200
        beaten = service.post(f"/v1/users/{user}/sessions/b/heartbeat", {"stream_id": "orchard"})
        assert (beaten.status, beaten.json["silent_after_seconds"]) == (200, LONGEST_SECONDS)
    assert service.watching(user)["live_sessions"] == 2
