"""Requests that come again byte for byte while their answer is known: they are answered without being read.

A client that hammers sends the same bytes thousands of times a second. The answer is up to the handler that answered
before, who is asked each time whether it still holds. Knows no session and no clock.
"""

from collections.abc import Callable

from streamlimit.http.exchange import STATUS_LINES, dated

Again = Callable[[], tuple[int, bytes, bytes] | None]
"""Status, header lines and body of the answer; None: the request is to be read."""

MOST = 1_024
"""Requests that are remembered; of more, none for a moment."""


class Repeats:
    """The repeated requests of one worker. Made before the workers are, and pickled."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, bytes], tuple[Again, bytes]] = {}
        """The answers, by client and the request's bytes, each with headers that end every head. Mostly none."""

    def keep(self, client: str, asked: bytes, again: Again, common: bytes) -> None:
        """From now on *again* answers the bytes that *client* *asked* with, until it returns None."""
        if len(self.known) >= MOST:
            self.known.clear()
        self.known[client, asked] = again, common

    def answer(self, client: str, asked: bytes) -> bytes | None:
        """The whole answer; None: it is to be found out."""
        known = self.known.get((client, asked))
        if known is None:
            return None
        again, common = known
        answer = again()
        if answer is None:
            del self.known[client, asked]
            return None
        status, lines, body = answer
        length = b"content-length: %d\r\n" % len(body)
        return b"".join((STATUS_LINES[status], dated.lines, lines, length, common, b"\r\n", body))
