"""The store's clock on SQLite: the machine's uptime, shared by all processes, plus an offset that makes it a date.

The offset is kept in the database and made anew after a boot. Steps of the wall clock do not move this clock.
"""

import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def uptime_ms() -> int:
    """Milliseconds since boot, suspended time included; the wall clock where the system has no `CLOCK_BOOTTIME`."""
    if _BOOTTIME is None:
        return time.time_ns() // 1_000_000
    return time.clock_gettime_ns(_BOOTTIME) // 1_000_000


def boot_id() -> str:
    """The id of this boot of this machine."""
    return _BOOT_ID.read_text().strip() if _BOOTTIME is not None and _BOOT_ID.exists() else "wall"


def offset_ms(seen_ms: int) -> int:
    """The offset (ms) from uptime to the wall clock, or to *seen_ms* if the wall clock is behind that."""
    wall_ms = time.time_ns() // 1_000_000
    return max(wall_ms, seen_ms) - uptime_ms()
