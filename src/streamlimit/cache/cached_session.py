"""What is known of one session, as whoever asks is shown it. Pure values."""

from functools import lru_cache
from zlib import crc32

from msgspec import Struct

from streamlimit.model import Session


class CachedSession(Struct, frozen=True, gc=False):
    """The store's last word. `at`: when, in the worker's time, the session's last activity (else its start) was.

    `client`: the digest of who was there. The store's clock is ahead of the worker's by `low` at least, by `span` more
    at most (ms); `least_ms`: no lease of the session may be dated before that.
    """

    session: Session
    limit: int
    live: int
    at: float
    client: int
    low: float
    span: float
    least_ms: int

    @property
    def is_active(self) -> bool:
        """It has received something, and the store knows."""
        return self.session.last_activity_ms is not None

    def date_ms(self, now: float) -> int:
        """The store's clock at *now*, as leases of the session are dated."""
        return max(int(now * 1_000 + self.low + self.span / 2), self.least_ms)  # as `date_ms`


@lru_cache(maxsize=16_384)
def digest(client: str) -> int:
    """Enough of the client's digest to tell two apart."""
    return crc32(client.encode())
