"""The aims of the bench, and whether the measured ratios meet them. Pure, as tables.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.tables import middle, rate_of, table

Parts = dict[str, dict[str, Any]]

FLOOR = "uvicorn raw ASGI, JSON, no store"
NAIVE = "FastAPI, get-check-set"
VALKEY_SITTING = "streamlimit on Valkey, sitting"


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


def ratio(row: str, to: str) -> Callable[[Parts], float | None]:
    """Of two rows' rates."""

    def found(parts: Parts) -> float | None:
        part = parts.get("decisions", {"rows": {}})
        mine, other = rate_of(part, row), rate_of(part, to)
        return mine / other if mine and other else None

    return found


def p99_at_half(parts: Parts) -> float | None:
    half = parts.get("decisions", {"rows": {}})["rows"].get(VALKEY_SITTING, {}).get("half")
    return middle(half, "p99_ms") if half else None


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


AIMS = [
    Aim(f"Sitting on Valkey, × {FLOOR}", ratio(VALKEY_SITTING, FLOOR), 1.35),
    Aim(f"Sitting on Valkey, × {NAIVE}", ratio(VALKEY_SITTING, NAIVE), 18),
    Aim("Sitting on Valkey, p99 at half of its rate", p99_at_half, 1, at_most=True, unit=" ms"),
    Aim(f"New on Valkey, × {FLOOR}", ratio("streamlimit on Valkey, new", FLOOR), 1.05),
    Aim(f"Sitting on SQLite, × {FLOOR}", ratio("streamlimit on SQLite, sitting", FLOOR), 0.8),
    Aim(f"New on SQLite, × {FLOOR}", ratio("streamlimit on SQLite, new", FLOOR), 0.8),
    Aim("A million sessions, × the rate of a thousand", crowd_rate, 0.9),
    Aim("A worker's memory a known session", worker_bytes, 400, at_most=True, unit=" bytes"),
    Aim("3 MB segments, × nginx's bytes per CPU second", beside_nginx("3 MB"), 1.0),
    Aim("100 KB segments, × nginx's bytes per CPU second", beside_nginx("100 KB"), 0.5),
    Aim("Start to the first answer (the slower store)", first_answer, 0.6, at_most=True, unit=" s"),
]


def aims(parts: Parts) -> str:
    """All of them."""
    return table(["what", "aim", "measured", ""], [aim.line(parts) for aim in AIMS])
