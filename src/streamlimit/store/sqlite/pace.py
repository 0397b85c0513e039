"""How many users one step of the sweep takes, so that its transaction is short on this machine at this time."""

HOLD_SECONDS = 0.000_3
"""How long a step holds the write lock: as long as a dozen decisions, so a viewer who meets it hardly notices."""

FEWEST, FIRST, MOST = 8, 32, 500


class Pace:
    """Learns from each step. `users` is how many the next one may look at."""

    def __init__(self) -> None:
        self.users = FIRST

    def took(self, users: int, seconds: float) -> None:
        """So many users took so long. One step that was held up itself (a busy machine) is soon forgotten."""
        if users:
            fitting = int(users * HOLD_SECONDS / max(seconds, 1e-6))
            self.users = min(max(fitting, FEWEST), 2 * self.users, MOST)
