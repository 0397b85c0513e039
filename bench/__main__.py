"""`make bench`: measures this machine, which should do nothing else, and writes results/ and README's table.

    python -m bench [PART …] [--rounds N] [--seconds N] [--into FOLDER]

Without a PART all but the million, which takes minutes of its own. `table` measures nothing and writes all anew from
report.json. A part that fails is named in the report, the others are measured nevertheless, and the exit code is 1.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import book, crowd, decisions, delivery, startup, sweep
from bench.record import Record
from bench.report import RESULTS

Part = Callable[[int, int], dict[str, Any]]
"""Given rounds and the seconds of each."""

PARTS: dict[str, Part] = {
    "decisions": decisions.measure,
    "delivery": delivery.measure,
    "crowd": lambda rounds, seconds: crowd.measure(crowd.SIZES, rounds, seconds),
    "startup": lambda rounds, seconds: startup.measure(),
    "sweep": lambda rounds, seconds: sweep.measure_all(rounds),
}
APART: dict[str, Part] = {
    "million": lambda rounds, seconds: crowd.measure(crowd.MILLION, rounds, seconds),
    "table": lambda rounds, seconds: {},
}


def main() -> None:
    """All parts, or those that are named."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS | APART)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--into", type=Path, default=RESULTS, metavar="FOLDER", help="README stays as it is then")
    asked = parser.parse_args()
    if wrong := set(asked.parts) - set(PARTS | APART):
        parser.error(f"there is no {', '.join(sorted(wrong))}")
    record, problems = Record(asked.into), {}
    for name in asked.parts or PARTS:
        if name == "table":
            record.write()
            continue
        began = time.monotonic()
        problem = record.measure(name, partial((PARTS | APART)[name], asked.rounds, asked.seconds))
        print(f"{name}: {problem or 'done'} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
        if problem:
            problems[name] = problem
    print((asked.into / "report.md").read_text())
    for what in book.missed(record.parts):
        print(f"missed: {what}", file=sys.stderr)
    for name, problem in problems.items():
        print(f"failed: {name}: {problem}", file=sys.stderr)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
