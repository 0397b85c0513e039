"""The last events that a worker read of the feed, which all its listeners share. A value; does no I/O."""

from bisect import bisect_right
from collections.abc import Iterable
from operator import attrgetter

from streamlimit.feed.frames import Frame
from streamlimit.store.feed import Place

MOST = 2_000
"""Events in it: a listener that is further behind than these is closed."""


class Window:
    """Holds every event behind `start` up to `end`, but at most *most* of them."""

    def __init__(self, place: Place, most: int = MOST) -> None:
        self.start = self.end = place
        self._most = most
        self._frames: list[Frame] = []

    def covers(self, place: Place) -> bool:
        """Is nothing missing behind this place?"""
        return self.start <= place <= self.end

    def add(self, frames: Iterable[Frame]) -> None:
        """The next ones."""
        self._frames += frames
        too_many = len(self._frames) - self._most
        if too_many > 0:
            self.start = self._frames[too_many - 1].place
            del self._frames[:too_many]
        if self._frames:
            self.end = self._frames[-1].place

    def after(self, place: Place) -> list[Frame]:
        """All behind a place that it covers."""
        return self._frames[bisect_right(self._frames, place, key=attrgetter("place")) :]
