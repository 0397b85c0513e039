"""`kill -9` of writers under load, again and again, on one and the same file."""

from pathlib import Path

import pytest

from tests.store import writers
from tests.store.test_sqlite import check_after_kill


@pytest.mark.soak
def test_twelve_times_killed_no_receipt_is_lost_and_no_seat_stuck(tmp_path: Path) -> None:
    path = str(tmp_path / "streamlimit.db")
    for turn in range(12):
        acknowledged = writers.acknowledged_until_killed(path, 3, 25, receipts=500 + 700 * turn)
        check_after_kill(path, acknowledged, 25)
