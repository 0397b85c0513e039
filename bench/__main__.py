"""`make bench`: measures this machine, which should do nothing else, and writes results/ and README's table.

    python -m bench [PART …] [--rounds N] [--seconds N] [--into FOLDER]
    python -m bench ROW … [--rounds N] [--seconds N]

Without a PART all but the million, which takes minutes of its own. `table` measures nothing and writes all anew from
report.json. A part that fails is named in the report, the others are measured nevertheless, and the exit code is 1; so
it is where the machine was too noisy to believe, also in one round more (see noise.py).

A ROW is a word in the names of rows of decisions, as "on Valkey, sitting" or "nginx and Lua": these alone are measured,
with those that they are compared to, and printed. Nothing is written.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import book, crowd, decisions, delivery, edge_rows, startup, sweep
from bench.record import Record
from bench.report import RESULTS
from bench.rows import SUBJECTS, chosen

Part = Callable[[int, int], dict[str, Any]]
"""Given rounds and the seconds of each."""

PARTS: dict[str, Part] = {
    "decisions": decisions.measure,
    "delivery": delivery.measure,
    "edges": lambda rounds, seconds: edge_rows.measure(),
    "crowd": lambda rounds, seconds: crowd.measure(crowd.SIZES, rounds, seconds),
    "startup": lambda rounds, seconds: startup.measure(),
    "sweep": lambda rounds, seconds: sweep.measure_all(rounds),
}
APART: dict[str, Part] = {
    "million": lambda rounds, seconds: crowd.measure(crowd.MILLION, rounds, seconds),
    "table": lambda rounds, seconds: {},
}


def main() -> None:
    """All parts, or the parts or rows that are named."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("names", nargs="*", metavar="PART|ROW", help=f"{', '.join(PARTS | APART)}; or a word of rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--into", type=Path, default=RESULTS, metavar="FOLDER", help="README stays as it is then")
    asked = parser.parse_args()
    names = asked.names or list(PARTS)
    if set(names) <= set(PARTS | APART):
        sys.exit(_parts(names, Record(asked.into), asked.rounds, asked.seconds))
    if not chosen(names):
        rows = "\n".join(subject.row(kind) for subject in SUBJECTS for kind in subject.asks)
        parser.error(f"no row is called so; there are\n{rows}")
    found = decisions.measure(asked.rounds, asked.seconds, names)
    print("\n\n".join([*book.noisy(found), *book.figures(found)]))


def _parts(names: list[str], record: Record, rounds: int, seconds: int) -> int:
    problems = {}
    for name in names:
        if name == "table":
            record.write()
            continue
        began = time.monotonic()
        problem = record.measure(name, partial((PARTS | APART)[name], rounds, seconds))
        print(f"{name}: {problem or 'done'} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
        if problem:
            problems[name] = problem
    print((record.folder / "report.md").read_text())
    for what in book.missed(record.parts):
        print(f"missed: {what}", file=sys.stderr)
    for name, problem in problems.items():
        print(f"failed: {name}: {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    main()
