"""The size of the sweep's steps: how many users one looks at, so that its transaction is short."""

HOLD_SECONDS = 0.000_25
"""How long a step holds the write lock: as long as a dozen decisions, so that a waiting viewer hardly notices."""

PAUSE_SECONDS = 0.001
"""The pause after a step, in which others take the lock: longer than the step, and the shortest timer of event loops.
"""

TRIES = 4
"""How often a step is decided without the lock before it is decided under the lock."""

FEWEST, FIRST, MOST = 8, 32, 128


class Pace:
    """The size of steps, adapted by the time of each. `users`: how many the next one may look at."""

    def __init__(self) -> None:
        self.users = FIRST

    def took(self, users: int, seconds: float) -> None:
        """Adapts the size to a step of *users* that took *seconds*; after a delayed one it soon grows again."""
        if users:
            fitting = int(users * HOLD_SECONDS / max(seconds, 1e-6))
            self.users = min(max(fitting, FEWEST), 2 * self.users, MOST)
