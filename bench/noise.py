"""The check whether a run is too noisy: rows with constant work differed too much from round to round."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

MOST = 0.15
"""Of the spread of each floor's rate: greatest less least round, of the median."""

SPARE = 1
"""Rounds that are made beyond those asked for while no so many of them agree: one, so that all takes a quarter of an
hour at most."""

WORD = "too noisy to believe"

Rows = dict[str, dict[str, Any]]
"""What one round found, by row: `loads` and `half`, each of one element or none, and what else there is."""


def spread(rates: Sequence[float]) -> float:
    """Of the rounds; 0 where there is nothing to compare."""
    if len(rates) < 2:
        return 0.0
    ordered = sorted(rates)
    return (ordered[-1] - ordered[0]) / ordered[len(ordered) // 2]


def noise(rounds: Sequence[Rows], floors: Sequence[str]) -> float:
    """The greatest spread of the floors that were measured in *rounds*."""
    rows = [[load["per_second"] for each in rounds for load in each.get(name, {}).get("loads", [])] for name in floors]
    return max(map(spread, rows), default=0.0)


def is_too_noisy(value: float) -> bool:
    return value > MOST


def agreeing(
    measure: Callable[[int], Rows], floors: Sequence[str], rounds: int, spare: int = SPARE
) -> tuple[list[Rows], list[float]]:
    """The *rounds* rounds whose floors differ least, and how much they do: of those asked for, then with each more.

    *measure* makes the round of that number, from 1 on. Only floors choose: whoever is measured has no say in it.
    """
    made: list[Rows] = []
    kept: list[Rows] = []
    found: list[float] = []
    while not found or (is_too_noisy(found[-1]) and len(made) < rounds + spare):
        made.append(measure(len(made) + 1))
        if len(made) >= rounds:
            kept = list(min(combinations(made, rounds), key=lambda some: noise(some, floors)))
            found.append(noise(kept, floors))
    return kept, found
