"""streamlimit keeps a subscriber from watching more than N streams at once.

For programs that embed it: `open_limiter("sqlite:///seats.db")` decides, and `async with limiter.lease(ask)` holds a
seat while a segment is delivered; `open_limiter_sync` does the same for threads. Times are milliseconds where a name
ends in `_ms`. All that is raised is a `StreamlimitError`; `problem_of` makes an HTTP answer of one.
"""

from typing import TYPE_CHECKING, Any

from streamlimit.errors import Refused, SettingsError, StoreUnavailable, StreamlimitError
from streamlimit.limiter import LeaseHolder, Limiter
from streamlimit.model import Admitted, Ask, Device, Purpose, Receipt, Refusal, Roster, Session, State
from streamlimit.policy import OverLimit, Policy, Reclaim

if TYPE_CHECKING:
    from streamlimit.library import OpenLimiter, SyncLimiter, open_limiter, open_limiter_sync
    from streamlimit.store.memory import MemoryStore
    from streamlimit.store.sqlite import SqliteStore
    from streamlimit.store.valkey import ValkeyStore
    from streamlimit.web.problems import problem_of

__version__ = "0.1.0"

__all__ = [
    "Admitted",
    "Ask",
    "Device",
    "LeaseHolder",
    "Limiter",
    "MemoryStore",
    "OpenLimiter",
    "OverLimit",
    "Policy",
    "Purpose",
    "Receipt",
    "Reclaim",
    "Refusal",
    "Refused",
    "Roster",
    "Session",
    "SettingsError",
    "SqliteStore",
    "State",
    "StoreUnavailable",
    "StreamlimitError",
    "SyncLimiter",
    "ValkeyStore",
    "open_limiter",
    "open_limiter_sync",
    "problem_of",
]

_LATER = {
    "MemoryStore": "store.memory",
    "OpenLimiter": "library",
    "SqliteStore": "store.sqlite",
    "SyncLimiter": "library",
    "ValkeyStore": "store.valkey",
    "open_limiter": "library",
    "open_limiter_sync": "library",
    "problem_of": "web.problems",
}
"""Names that are imported when they are asked for, so that a program with one store does not load others, or HTTP."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
