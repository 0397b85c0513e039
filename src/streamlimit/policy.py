"""The numbers of the rules (docs/guarantees.md): limit, X, n and what happens at the limit. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from streamlimit.model import State

MARKS_KEPT = 16
"""Most terminated (and, apart from them, ended) sessions that are remembered per user, the newest (rule 12)."""
GRANTS_KEPT = 256
"""Most sessions per user whose ended grants are remembered one by one, the newest (rules/grants.py)."""
MARK_WRITES = 50
"""Most writes in one X for refusals of a terminated session (rules/admit.py)."""

OUTBOX_MAX_EVENTS = 100_000
"""The default of most events that wait for one endpoint."""

LEASES_KEPT = 32
"""Most open leases that are remembered of one reservation, the newest."""


DRY_RUN_SEATS = 256
"""Most seats of one user in a dry run; further sessions are admitted without being recorded."""


class OverLimit(StrEnum):
    """The session that gives way when a new one finds all seats taken (rule 12)."""

    REFUSE = "refuse"
    REPLACE_IDLE = "replace-idle"
    REPLACE_OLDEST = "replace-oldest"


class Reclaim(StrEnum):
    """The condition under which a new session of a device takes over the device's old seat (rule 12)."""

    SILENT = "silent"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy for all users of a service. Times in milliseconds; derived ones are worked out once."""

    max_sessions: int = 3
    segment_ms: int = 6_000
    missed_segments: int = 3
    start_ms: int = 6_000
    buffer_ms: int = 0
    max_returns: int = 2
    visit_burst: int = 60
    """Visits a seat that a user may make at once (rule 13); 0: they are not counted."""
    over_limit: OverLimit = OverLimit.REFUSE
    reclaim_device: Reclaim = Reclaim.SILENT
    max_per_stream: int | None = None
    max_per_device_type: Mapping[str, int] = field(default_factory=dict)
    enforce: bool = True
    """False: a dry run, in which all is decided and counted, and no request is refused."""
    grant_ms: int = 86_400_000
    """How long a grant may start a session, and so how long an ended one is remembered."""
    expiry_ms: int = field(init=False)
    """n·X: how long after its last activity a session expires."""
    idle_victim_ms: int = field(init=False)
    """(n−1)·X: how silent a session must be to give way under `replace-idle`."""

    visit_ms: int = field(init=False)
    """2·X: the time in which a seat regains one visit."""
    burst_ms: int = field(init=False)
    """The time in which a spent budget of visits is whole again, for any number of seats."""
    far_ms: int = field(init=False)
    """The furthest a stored time may be ahead; one beyond was written before the store's clock went back."""
    spent_far_ms: int = field(init=False)
    """As `far_ms`, for a budget of visits, and so for when a user may be due."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "expiry_ms", self.missed_segments * self.segment_ms)
        far_ms = max(self.expiry_ms, self.start_ms) + self.buffer_ms + 60_000
        object.__setattr__(self, "far_ms", far_ms)
        object.__setattr__(self, "spent_far_ms", max(far_ms, self.visit_burst * 2 * self.segment_ms + 60_000))
        object.__setattr__(self, "visit_ms", 2 * self.segment_ms)
        object.__setattr__(self, "burst_ms", self.visit_burst * self.visit_ms)
        object.__setattr__(self, "idle_victim_ms", (self.missed_segments - 1) * self.segment_ms)

    def state(self, last_activity_ms: int | None, now_ms: int) -> State:
        """The state of a session that holds its seat (rule 6)."""
        if last_activity_ms is None:
            return State.STARTING
        return State.ACTIVE if now_ms - last_activity_ms < self.segment_ms else State.IDLE
