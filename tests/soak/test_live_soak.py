"""A live viewer for ten minutes: six hundred segments, one seat, never gone."""

from pathlib import Path

import pytest

from tests.e2e.publishing import HLS_LIVE, on_air
from tests.e2e.test_streams_live import open_house, watch
from tests.needs import needs

SECONDS = 600.0


@pytest.mark.soak
def test_a_live_viewer_keeps_one_seat_for_ten_minutes(tmp_path: Path) -> None:
    needs("ffmpeg")
    for house in open_house(tmp_path):
        with on_air(house.streams / "live", *HLS_LIVE):
            watch(house, "live", "viewer", SECONDS)
