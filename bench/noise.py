"""The check whether a run is too noisy: rows with constant work differed too much from round to round."""

from collections.abc import Callable, Sequence
from typing import Any

MOST = 0.15
"""Of the spread of each floor's rate: greatest less least round, of the median."""

TRIES = 3
WORD = "too noisy to believe"

Data = dict[str, Any]


def spread(rates: Sequence[float]) -> float:
    """Of the rounds; 0 where there is nothing to compare."""
    if len(rates) < 2:
        return 0.0
    ordered = sorted(rates)
    return (ordered[-1] - ordered[0]) / ordered[len(ordered) // 2]


def noise(data: Data, floors: Sequence[str]) -> float:
    """The greatest spread of the floors that were measured."""
    rows = [data["rows"].get(name, {}).get("loads", []) for name in floors]
    return max((spread([load["per_second"] for load in loads]) for loads in rows), default=0.0)


def is_too_noisy(value: float) -> bool:
    return value > MOST


def quietest(measure: Callable[[], Data], floors: Sequence[str], tries: int = TRIES) -> Data:
    """The first run that can be believed, else the quietest of *tries*; `noise` of it lists all that were made."""
    made: list[tuple[float, Data]] = []
    while len(made) < tries and (not made or is_too_noisy(made[-1][0])):
        data = measure()
        made.append((noise(data, floors), data))
    return min(made, key=lambda each: each[0])[1] | {"noise": [value for value, _ in made]}
