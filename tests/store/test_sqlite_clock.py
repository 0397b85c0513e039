"""The clock of a system that does not count its uptime, such as macOS: there the wall clock has to do."""

import time
from pathlib import Path

import pytest

from streamlimit.store.sqlite import clock


def test_uptime_counts_on_and_names_its_boot() -> None:
    first, second = clock.uptime_ms(), clock.uptime_ms()
    assert first <= second <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    assert clock.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_without_uptime_the_wall_clock_decides_and_no_boot_is_told_from_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "_BOOTTIME", None)
    before = time.time_ns() // 1_000_000
    assert before <= clock.uptime_ms() <= time.time_ns() // 1_000_000
    assert clock.boot_id() == "wall"


def test_a_date_never_goes_back_behind_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = time.time_ns() // 1_000_000 + 3_600_000
    assert clock.uptime_ms() + clock.offset_ms(ahead) >= ahead
    assert clock.uptime_ms() + clock.offset_ms(0) < ahead
