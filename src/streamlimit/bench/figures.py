"""The figures of a run: counts and times of answers, collected while it runs."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

PERCENTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}


@dataclass
class Figures:
    """The figures of all viewers together.

    A call that the viewer hung up on is counted, but has no time.
    """

    calls: Counter[str] = field(default_factory=Counter)
    """Requests by their kind: segment, heartbeat, join, playlist, end, look."""
    answers: Counter[str] = field(default_factory=Counter)
    """Answers by status and code, such as `409 session-limit`."""
    doings: Counter[str] = field(default_factory=Counter)
    """Actions of viewers, and refusals and terminations, by name."""
    bytes: int = 0
    degraded: int = 0
    """Answers given while the service's store was unavailable."""
    let_through: int = 0
    """Answers of a dry run that would have been refusals."""
    took: dict[str, "array[float]"] = field(default_factory=dict)
    """Seconds from the request's first byte to the answer's last, by kind."""
    late: "array[float]" = field(default_factory=lambda: array("d"))
    """Seconds by which requests went out later than their viewer meant to: this program's own delay."""

    @property
    def requests(self) -> int:
        """The number of all calls."""
        return self.calls.total()

    def note_time(self, kind: str, seconds: float) -> None:
        """Notes the time of a complete answer."""
        self.took.setdefault(kind, array("d")).append(seconds)


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles by nearest rank, in ms: each is a measured time. Empty without any."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    ranks = {name: max(-int(-share * len(ordered) // 1), 1) for name, share in PERCENTILES.items()}
    return {name: round(ordered[rank - 1] * 1_000, 3) for name, rank in ranks.items()}
