"""A store that remembers what one worker saw last of each session.

So an active session needs no round trip, and goes on while the store is unavailable (rule 11).
"""

from streamlimit.cache.caching_store import CachingStore
from streamlimit.cache.entry import AHEAD, CachedSession, digest
from streamlimit.cache.outage import CALM_SECONDS, PROBE_SECONDS, Counts, OutagePolicy
from streamlimit.cache.session_cache import SessionCache

__all__ = [
    "AHEAD",
    "CALM_SECONDS",
    "PROBE_SECONDS",
    "CachedSession",
    "CachingStore",
    "Counts",
    "OutagePolicy",
    "SessionCache",
    "digest",
]
