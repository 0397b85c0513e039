"""Has a server's clock been set, or has a server with another clock taken over? Told once a jump, for the operator."""

from streamlimit.logs import EventLog

log = EventLog("streamlimit.store")

JUMP_MS = 60_000
"""Clocks of servers differ by less, and so do rules of what is due (`Policy.far_ms`)."""


class Jumps:
    """By server, how far its clock is ahead of the worker's monotonic one. Reads no clock: both times are handed in."""

    def __init__(self) -> None:
        self._ahead_ms: dict[object, float] = {}
        self._latest: float | None = None

    def note(self, server: object, server_ms: int, at: float) -> bool:
        """The *server* said that it was *server_ms* when it was *at* here (s). Did the clock of the store jump?

        A server that answers for the first time is compared with the one that answered last.
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
