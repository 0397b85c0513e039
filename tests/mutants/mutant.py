"""What one breakage is."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One breakage: in *file* (below src; `../deploy/…`: what is shipped), *old* (found exactly once) becomes *new*.

    *tests*, arguments of pytest, should notice.
    """

    name: str
    file: str
    old: str
    new: str
    tests: Sequence[str]
