"""The clock of one server, as a connection to it knows it: for the deadlines of commands.

A worker that has given up a command has answered its caller, and may have sent the next command. So each script is sent
with a deadline by the server's clock, after which it does nothing (clock.lua). The worker learns that clock from the
server's answers, and takes it for as late as it can be: a command is never run after it was given up. Where that is too
strict (the server's clock was set) the script answers with the time, and is sent again.
"""

from time import monotonic, time

TOO_LATE = "TOOLATE"
"""The answer of a script past its deadline, which did nothing; the server's time in ms follows."""

RENEWED_SECONDS = 1.0
"""How long a reading of the clock is used on a connection in use: clocks drift, and are set."""


class ServerClock:
    """One server's clock. Until the server has stated its time, this machine's clock is taken for it."""

    __slots__ = ("_ahead_ms", "_learnt_at")

    def __init__(self) -> None:
        self._learnt_at = monotonic()
        self._ahead_ms = (time() - self._learnt_at) * 1_000

    def learn(self, server_ms: float) -> None:
        """Takes in the server's time *server_ms*, which it read at some moment before now."""
        self._learnt_at = monotonic()
        self._ahead_ms = server_ms - self._learnt_at * 1_000

    def is_old(self) -> bool:
        """Should the server be asked again?"""
        return monotonic() - self._learnt_at >= RENEWED_SECONDS

    def deadline(self, moment: float) -> bytes:
        """*moment*, in seconds of this machine's monotonic clock, as the last argument of a script."""
        return b"$13\r\n%013d\r\n" % (self._ahead_ms + moment * 1_000)
