"""One step of the sweep: what it takes out, and how many users it looks at, so that its transaction is short."""

from msgspec import Struct

from streamlimit.model import Event

HOLD_SECONDS = 0.000_25
"""How long a step holds the write lock: as long as a dozen decisions, so a viewer who waits for it hardly notices."""

PAUSE_SECONDS = 0.001
"""The pause after a step, in which others take the lock: longer than the step, and the shortest of event loops."""

TRIES = 4
"""How often to decide what to take out before it is done under the lock."""

FEWEST, FIRST, MOST = 8, 32, 128


class Takings(Struct):
    """Decided at `now_ms` about so many users: rows to remove, rows to write, events to tell.

    `last_user`: behind whom to go on; None where all of the chunk were looked at.
    """

    now_ms: int
    looked_at: int
    last_user: str | None
    gone: list[tuple[str]] = []
    kept: list[tuple[str, int | None, bytes]] = []
    events: list[Event] = []


class Pace:
    """The size of steps, learned from each. `users` is how many the next one may look at."""

    def __init__(self) -> None:
        self.users = FIRST

    def took(self, users: int, seconds: float) -> None:
        """A step of *users* took *seconds*. One that was held up itself (a busy machine) is soon forgotten."""
        if users:
            fitting = int(users * HOLD_SECONDS / max(seconds, 1e-6))
            self.users = min(max(fitting, FEWEST), 2 * self.users, MOST)
