"""The machine's uptime as a clock: all processes share it, and no step of the wall clock moves it.

The offset that turns uptime into a date is kept in the database, made when the machine has booted anew.
"""

import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def uptime_ms() -> int:
    """Milliseconds since boot, suspended time included; the wall clock where the system has no such clock."""
    if _BOOTTIME is None:
        return time.time_ns() // 1_000_000
    return time.clock_gettime_ns(_BOOTTIME) // 1_000_000


def boot_id() -> str:
    """Names this boot of this machine."""
    return _BOOT_ID.read_text().strip() if _BOOTTIME is not None and _BOOT_ID.exists() else "wall"


def offset_ms(seen_ms: int) -> int:
    """The offset that makes a date of the uptime, or *seen_ms* if the wall clock is behind that."""
    wall_ms = time.time_ns() // 1_000_000
    return max(wall_ms, seen_ms) - uptime_ms()
