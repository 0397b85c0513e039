"""Detection of jumps of the store's clock: a server's clock was set, or a server with another clock took over."""

from streamlimit.logs import EventLog

log = EventLog("streamlimit.store")

JUMP_MS = 60_000
"""A smaller difference is no jump: servers' clocks differ by less, and `Policy.far_ms` allows for it."""


class Jumps:
    """How far each server's clock is ahead of the worker's monotonic one. Reads no clock: both times are passed in."""

    def __init__(self) -> None:
        self._ahead_ms: dict[object, float] = {}
        self._latest: float | None = None

    def note(self, server: object, server_ms: int, at: float) -> bool:
        """Notes the *server*'s time *server_ms* at *at* (s, of the worker's clock). Did the store's clock jump?

        True once for each jump. A server that answers for the first time is compared with the one that answered last.
        """
        ahead_ms = server_ms - at * 1_000
        before = self._ahead_ms.get(server, self._latest)
        self._ahead_ms[server] = self._latest = ahead_ms
        if before is None or abs(ahead_ms - before) < JUMP_MS:
            return False
        log.warning(
            "store_clock_jumped",
            seconds=round((ahead_ms - before) / 1_000, 1),
            server=str(server),
            note="sessions that would sit longer than any may count as expired",
        )
        return True
