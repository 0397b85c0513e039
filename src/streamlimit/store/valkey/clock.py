"""The clock of one server, as a connection to it knows it: by when a command must be carried out, or not at all.

A worker that has given a command up has answered its caller, and may have sent the next command. So each script is sent
with the time, by the server's clock, from which on it does nothing (clock.lua). The worker knows that clock from what
the server says of itself, and takes it for as late as it can be: a command is never carried out after it was given up.
Where that is too strict (the server's clock was set) the script's answer says what time it is, and it is sent again.
"""

from time import monotonic, time

TOO_LATE = "TOOLATE"
"""The answer of a script past its deadline, which did nothing; behind it stands the server's time in ms."""

RENEWED_SECONDS = 1.0
"""How old what is known of the clock may be on a connection in use: clocks drift, and are set."""


class ServerClock:
    """Until the server has said anything, its clock is taken for this machine's."""

    __slots__ = ("_ahead_ms", "_learnt_at")

    def __init__(self) -> None:
        self._learnt_at = monotonic()
        self._ahead_ms = (time() - self._learnt_at) * 1_000

    def learn(self, server_ms: float) -> None:
        """An answer says that it was *server_ms* at the server, at some moment before now."""
        self._learnt_at = monotonic()
        self._ahead_ms = server_ms - self._learnt_at * 1_000

    def is_old(self) -> bool:
        """Should the server be asked again?"""
        return monotonic() - self._learnt_at >= RENEWED_SECONDS

    def deadline(self, moment: float) -> bytes:
        """*moment*, in seconds of this machine's monotonic clock, as the last argument of a script."""
        return b"$13\r\n%013d\r\n" % (self._ahead_ms + moment * 1_000)
