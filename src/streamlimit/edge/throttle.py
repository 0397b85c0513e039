"""A rate limit in this worker's memory: calls of each caller in a minute, in fixed windows from its first call."""

import time
from collections.abc import Callable

WINDOW_SECONDS = 60.0
CALLERS_KEPT = 100_000


class Throttle:
    """Allows *at_most* calls of one key in a minute."""

    def __init__(self, at_most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_most, self._clock = at_most, clock
        self._windows: dict[str, tuple[float, int]] = {}

    def wait_seconds(self, key: str) -> float:
        """Counts one call. Returns 0 if it is allowed, else the seconds until the next one is."""
        now = self._clock()
        began, calls = self._windows.get(key, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, calls = now, 0
        if calls >= self._at_most:
            return began + WINDOW_SECONDS - now
        if len(self._windows) >= CALLERS_KEPT:
            self._forget(now)
        self._windows[key] = began, calls + 1
        return 0.0

    def _forget(self, now: float) -> None:
        """Removes passed windows or, where all are young, all: then callers may exceed the limit once."""
        young = {key: each for key, each in self._windows.items() if now - each[0] < WINDOW_SECONDS}
        self._windows = young if len(young) < CALLERS_KEPT else {}
