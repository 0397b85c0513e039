"""The window: the last events that a worker read of the feed, shared by its listeners. No I/O."""

from bisect import bisect_right
from collections.abc import Iterable
from operator import attrgetter

from streamlimit.feed.frames import Frame
from streamlimit.store.feed import Place

MOST = 2_000
"""Most events in the window: a listener that is further behind is closed."""


class Window:
    """All events behind `start` up to `end`, at most *most* of them."""

    def __init__(self, place: Place, most: int = MOST) -> None:
        self.start = self.end = place
        self._most = most
        self._frames: list[Frame] = []

    def covers(self, place: Place) -> bool:
        """Does the window contain every event behind *place*?"""
        return self.start <= place <= self.end

    def add(self, frames: Iterable[Frame]) -> None:
        """Appends the next events."""
        self._frames += frames
        too_many = len(self._frames) - self._most
        if too_many > 0:
            self.start = self._frames[too_many - 1].place
            del self._frames[:too_many]
        if self._frames:
            self.end = self._frames[-1].place

    def after(self, place: Place) -> list[Frame]:
        """The events behind *place*, which the window covers."""
        return self._frames[bisect_right(self._frames, place, key=attrgetter("place")) :]
