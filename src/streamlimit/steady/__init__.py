"""A store that viewers can lean on while the real one is away (rule 11), and that spares it round trips."""

from streamlimit.steady.outage import CALM_SECONDS, PROBE_SECONDS, Conduct, Counts
from streamlimit.steady.store import SteadyStore

__all__ = ["CALM_SECONDS", "PROBE_SECONDS", "Conduct", "Counts", "SteadyStore"]
