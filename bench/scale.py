"""How many workers and servers so many viewers take: `python -m bench.scale` writes the tables of docs/scale.md.

Arithmetic from measured costs, no simulation: each cost below says where it was measured. Change them to those of your
own machines (`make bench`, `python -m bench.growth`) and run it again.
"""

import argparse
from dataclasses import dataclass
from math import ceil
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs/scale.md"
BEGIN, END = "<!-- made by bench/scale.py -->", "<!-- end -->"
VIEWERS = (10_000, 1_000_000, 10_000_000, 100_000_000)
HOURS = 730


@dataclass(frozen=True)
class Costs:
    """What one unit of work takes."""

    segment_seconds: float = 6.0
    """X: each viewer is confirmed so often."""
    visits_an_hour: float = 4.0
    """Starts and moves of one viewer; the store is asked for each."""
    worker_us: float = 45.0
    """CPU of a worker a heartbeat or report, as many as it can do (bench/results/report.md: 39–46)."""
    bytes_us: float = 140.0
    """CPU of a worker a 100 KB segment that it delivers itself (the same: 138)."""
    store_us: float = 12.5
    """CPU of a Valkey server a confirmation (the same: 12.5; of its script alone, growth-valkey.md: 7–9)."""
    new_us: float = 28.0
    """The same of a new session (28; 9–12)."""
    session_bytes: float = 653.0
    """Memory of a server a session with its history (report.md, a million; without, growth-valkey.md: 223)."""
    known_bytes: float = 345.0
    """Memory of a worker a session that it knows (report.md, a million)."""
    store_share: float = 0.45
    """How much of a server's core is planned with: it has one, and a failover doubles nothing."""
    worker_share: float = 0.4
    """The same of a worker's core: evenings have peaks, and a rollout takes some away."""
    worker_core_hour: float = 0.04
    """A core of a general machine, in dollars an hour: an assumption, put in your own."""
    store_core_hour: float = 0.05
    """A core of a machine with memory."""


@dataclass(frozen=True)
class Plan:
    """What so many viewers take."""

    viewers: int
    confirmations: float
    workers: int
    primaries: int
    store_gb: float
    worker_gb: float
    dollars: float


def plan(viewers: int, costs: Costs, by_edge: bool) -> Plan:
    """From viewers at one moment to machines. *by_edge*: an edge moves the bytes and reports; else workers do."""
    confirmations = viewers / costs.segment_seconds
    visits = viewers * costs.visits_an_hour / 3_600
    worker_us = costs.worker_us if by_edge else costs.bytes_us
    busy_workers = (confirmations * worker_us + visits * 2 * costs.worker_us) / 1e6
    busy_stores = (confirmations * costs.store_us + visits * costs.new_us) / 1e6
    workers = max(ceil(busy_workers / costs.worker_share), 2)
    primaries = max(ceil(busy_stores / costs.store_share), 3)
    store_gb = viewers * costs.session_bytes * 2 / 1e9
    dollars = HOURS * (workers * costs.worker_core_hour + primaries * 2 * costs.store_core_hour)
    return Plan(viewers, confirmations, workers, primaries, store_gb, viewers * costs.known_bytes * 1.5 / 1e9, dollars)


def table(viewers: tuple[int, ...], costs: Costs, by_edge: bool) -> list[str]:
    """Rows of Markdown."""
    rows = [
        "| viewers at once | confirmations a second | worker cores | primaries (a replica each) "
        "| memory of servers, workers | nobody new starts there in a failover | $ a month |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in (plan(count, costs, by_edge) for count in viewers):
        rows.append(
            f"| {each.viewers:,} | {each.confirmations:,.0f} | {each.workers:,} | {each.primaries:,} | "
            f"{each.store_gb:,.1f} GB, {each.worker_gb:,.1f} GB | 1 of {each.primaries:,} users | {each.dollars:,.0f} |"
        )
    return rows


def tables(viewers: tuple[int, ...] = VIEWERS, costs: Costs | None = None) -> str:
    """Both: an edge moves the bytes, and workers do."""
    costs = costs or Costs()
    by_edge, by_worker = table(viewers, costs, by_edge=True), table(viewers, costs, by_edge=False)
    lines = ["An edge moves the bytes; each segment is a report or a heartbeat:", "", *by_edge, ""]
    lines += ["Workers deliver 100 KB segments themselves:", "", *by_worker]
    return "\n".join(lines)


def main() -> None:
    """Writes them into the page; prints those of other numbers."""
    parser = argparse.ArgumentParser(prog="bench.scale")
    parser.add_argument("viewers", nargs="*", type=int)
    parser.add_argument("--check", action="store_true", help="beside a real run of so many viewers, minutes")
    asked = parser.parse_args()
    if asked.check:
        from bench.scale_check import VIEWERS as CARRIED
        from bench.scale_check import check

        print(check(*(asked.viewers or [CARRIED])).read_text())
        return
    if asked.viewers:
        print(tables(tuple(asked.viewers)))
        return
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
