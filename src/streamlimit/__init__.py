"""streamlimit keeps a subscriber from watching more than N streams at once.

For library users: a `Limiter` over a store decides; `async with limiter.lease(ask)` holds a seat while
a segment is delivered.
"""

from streamlimit.errors import Refused, StoreUnavailable, StreamlimitError
from streamlimit.limiter import LeaseHolder, Limiter
from streamlimit.model import Ask, Device, Purpose, Session, State
from streamlimit.policy import OverLimit, Policy

__version__ = "0.1.0"

__all__ = [
    "Ask",
    "Device",
    "LeaseHolder",
    "Limiter",
    "OverLimit",
    "Policy",
    "Purpose",
    "Refused",
    "Session",
    "State",
    "StoreUnavailable",
    "StreamlimitError",
]
