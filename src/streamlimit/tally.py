"""What a worker counts on its hot path: plain numbers. Whoever exports them looks at them now and then."""

from collections import Counter


class Tally:
    """Counts since the worker started: `events` by type; refusals, made or left out, and `problems` by code.

    Of SQLite's log: how long it is, and how often it could not be carried over.
    `edge_lines_dropped`: reports of an edge's access log that could not be counted.
    Of connections: `turned_away` were too many of one address, `given_up` by what was waited for in vain.
    """

    def __init__(self) -> None:
        self.admissions = 0
        self.confirmations = 0
        self.not_received = 0
        self.events: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.would_refuse: Counter[str] = Counter()
        self.turned_away = self.edge_lines_dropped = 0
        self.checkpoints_failed = self.log_bytes = 0
        self.given_up: Counter[str] = Counter()
