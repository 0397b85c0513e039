"""Repeated requests: the same bytes from the same client are answered without being parsed, while the answer holds.

A client that hammers sends the same bytes thousands of times a second. The handler that answered first is asked each
time whether its answer still holds. Knows no session and no clock.
"""

from collections.abc import Callable

from streamlimit.http.exchange import STATUS_LINES, dated

Again = Callable[[], tuple[int, bytes, bytes] | None]
"""Returns status, header lines and body of the answer; None: the request is to be parsed."""

MOST = 1_024
"""Most requests that are remembered; beyond that all are forgotten."""


class Repeats:
    """The repeated requests of one worker. Made before the workers start, and pickled."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, bytes], tuple[Again, bytes]] = {}
        """The answers by client and request bytes, each with the last headers of every head. Mostly empty."""

    def keep(self, client: str, asked: bytes, again: Again, common: bytes) -> None:
        """Has *again* answer the bytes *asked* of *client* from now on, until it returns None."""
        if len(self.known) >= MOST:
            self.known.clear()
        self.known[client, asked] = again, common

    def answer(self, client: str, asked: bytes) -> bytes | None:
        """The complete answer to the bytes *asked* of *client*; None: they are to be parsed."""
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
