"""Limits on large bodies: for which targets, and how many at once. They are kept before the sender is authenticated."""

from collections.abc import Callable, Mapping

from streamlimit.http.limits import nobody

AT_ONCE = 16
"""Large bodies of untrusted clients that one worker keeps at the same time."""


class LargeBodies:
    """The large bodies of one worker. *sizes*: the most bytes, by target. *trusted*: addresses that are not counted.

    All connections of one worker share it. Made before the workers are, and pickled.
    """

    def __init__(self, sizes: Mapping[bytes, int], trusted: Callable[[str], bool] = nobody) -> None:
        self.sizes, self._trusted, self._kept = sizes, trusted, 0

    def begin(self, address: str) -> bool:
        """Counts one body of a client at *address* (empty: it comes by a Unix socket); False: there are too many."""
        if self._is_exempt(address):
            return True
        if self._kept >= AT_ONCE:
            return False
        self._kept += 1
        return True

    def end(self, address: str) -> None:
        """The body has been read, or its client is gone."""
        if not self._is_exempt(address):
            self._kept -= 1

    def _is_exempt(self, address: str) -> bool:
        return not address or self._trusted(address)
