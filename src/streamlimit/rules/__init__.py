"""The rules (docs/guarantees.md) on one user's ledger: values in, values out. Knows no store and no clock."""

from streamlimit.rules.admit import admit
from streamlimit.rules.beat import beat
from streamlimit.rules.confirm import confirm, prolong
from streamlimit.rules.leave import abandon, end, expire, forget, forgive, lose_again, terminate

__all__ = [
    "abandon",
    "admit",
    "beat",
    "confirm",
    "end",
    "expire",
    "forget",
    "forgive",
    "lose_again",
    "prolong",
    "terminate",
]
