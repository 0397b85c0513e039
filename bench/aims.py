"""The aims of the bench, and whether the measured ratios meet them. Pure, as tables.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench import tables
from bench.names import (
    FLOOR,
    FROM_MEMORY,
    NAIVE_SITTING,
    NEW_ON_SQLITE,
    NEW_ON_VALKEY,
    PEER,
    PEER_NEW,
    PEER_SITTING,
    SHORT,
    SITTING_ON_SQLITE,
    SITTING_ON_VALKEY,
)
from bench.tables import middle, sweep_ratios, table

Parts = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Aim:
    """*found*: the figure, or None where a part that it needs was not measured."""

    what: str
    found: Callable[[Parts], float | None]
    bound: float
    at_most: bool = False
    unit: str = ""

    def line(self, parts: Parts) -> list[str]:
        """What is aimed at, what was measured, and the word on it."""
        value = self.found(parts)
        sign = "≤" if self.at_most else "≥"
        cells = [self.what, f"{sign} {self.bound:g}{self.unit}"]
        if value is None:
            return [*cells, "–", "not measured"]
        is_met = value <= self.bound if self.at_most else value >= self.bound
        return [*cells, f"**{value:.{0 if value >= 100 else 2}f}**{self.unit}", "met" if is_met else "**missed**"]


def ratio(row: str, to: str, field: str = "per_second") -> Callable[[Parts], float | None]:
    """Of two rows' rates, or their CPU a request."""
    return lambda parts: tables.ratio(parts.get("decisions", {"rows": {}}), row, to, field)


def p99_at_half(parts: Parts) -> float | None:
    half = parts.get("decisions", {"rows": {}})["rows"].get(SITTING_ON_VALKEY, {}).get("half")
    return middle(half, "p99_ms") if half else None


def sweep(which: str) -> Callable[[Parts], float | None]:
    """Of the store that does worse."""

    def found(parts: Parts) -> float | None:
        kinds = parts.get("sweep", {}).get("kinds")
        return max(sweep_ratios(rounds)[which] for rounds in kinds.values()) if kinds else None

    return found


def crowd_rate(parts: Parts) -> float | None:
    lines = parts.get("million", {}).get("lines", [])
    return lines[-1]["per_second"] / lines[0]["per_second"] if lines else None


def worker_bytes(parts: Parts) -> float | None:
    lines = (parts.get("million") or parts.get("crowd") or {}).get("lines", [])
    return lines[-1].get("worker bytes a session") if lines else None


def beside_nginx(size: str) -> Callable[[Parts], float | None]:
    """Bytes per CPU second."""

    def found(parts: Parts) -> float | None:
        rows = parts.get("delivery", {}).get("rows")
        if not rows:
            return None
        both = (rows[f"{who}, {size}"]["loads"] for who in ("streamlimit", "nginx"))
        ours, theirs = (middle(loads, "bytes_per_cpu_second") for loads in both)
        return ours / theirs

    return found


def first_answer(parts: Parts) -> float | None:
    starts = parts.get("startup", {}).get("starts")
    return max(middle(each, "first answer") for each in starts.values()) if starts else None


def _cpu(what: str, row: str, to: str, beside: str, bound: float) -> Aim:
    return Aim(f"{what}: CPU × {SHORT[beside]}", ratio(row, to, "cpu_us"), bound, at_most=True)


def _rate(what: str, row: str, bound: float) -> Aim:
    return Aim(f"{what}: rate × {SHORT[FLOOR]}", ratio(row, FLOOR), bound)


AIMS = [
    _cpu("Sitting on Valkey", SITTING_ON_VALKEY, FLOOR, FLOOR, 0.6),
    _cpu("Sitting on Valkey", SITTING_ON_VALKEY, PEER_SITTING, PEER, 0.9),
    _cpu("New on Valkey", NEW_ON_VALKEY, FLOOR, FLOOR, 1.0),
    _cpu("New on Valkey", NEW_ON_VALKEY, PEER_NEW, PEER, 1.3),
    _rate("Sitting on Valkey", SITTING_ON_VALKEY, 1.5),
    _rate("New on Valkey", NEW_ON_VALKEY, 1.0),
    _rate("Sitting on SQLite", SITTING_ON_SQLITE, 1.1),
    _rate("New on SQLite", NEW_ON_SQLITE, 1.1),
    _rate("Refused from memory", FROM_MEMORY, 3),
    Aim(f"Sitting on Valkey: rate × {NAIVE_SITTING}", ratio(SITTING_ON_VALKEY, NAIVE_SITTING), 18),
    Aim("Sitting on Valkey: p99 at half of its rate", p99_at_half, 1, at_most=True, unit=" ms"),
    Aim("A million sessions: × the rate of a thousand", crowd_rate, 0.9),
    Aim("A worker's memory a known session", worker_bytes, 400, at_most=True, unit=" bytes"),
    Aim("3 MB segments: × nginx's bytes per CPU second", beside_nginx("3 MB"), 0.9),
    Aim("100 KB segments: × nginx's bytes per CPU second", beside_nginx("100 KB"), 0.4),
    Aim("Start to the first answer (the slower store)", first_answer, 0.6, at_most=True, unit=" s"),
    Aim("Sweep: × time of a bare delete (the slower store)", sweep("time"), 5, at_most=True),
    Aim("Sweep: × viewer's p99 of idle (the worse store)", sweep("idle"), 2, at_most=True),
]


def aims(parts: Parts) -> str:
    """All of them."""
    return table(["what", "aim", "measured", ""], [aim.line(parts) for aim in AIMS])
