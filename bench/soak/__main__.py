"""`python -m bench.soak`: an hour, half of it on each store, at half load; exit code 1 when something did not hold."""

import argparse
import secrets
import sys

from bench.soak.houses import HOUSES
from bench.soak.report import passed, report
from bench.soak.run import Plan, soak


def main() -> None:
    """Writes results/soak.md."""
    parser = argparse.ArgumentParser(prog="bench.soak")
    parser.add_argument("--minutes", type=float, default=60.0, help="of load, all stores together (60)")
    parser.add_argument("--stores", nargs="+", choices=list(HOUSES), default=list(HOUSES))
    parser.add_argument("--share", type=float, default=0.5, help="of the rate that calibration finds (0.5)")
    parser.add_argument("--at-most", type=float, default=1_000.0, help="requests a second, however fast the machine is")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between two faults (20)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--notes", default="", help="a sentence for the report")
    asked = parser.parse_args()
    plan = Plan(asked.minutes * 60 / len(asked.stores), asked.share, asked.at_most, asked.every, asked.seed)
    outcomes = []
    for kind in asked.stores:
        outcomes.append(soak(kind, plan))
        print(report(outcomes, asked.notes).read_text(), flush=True)  # what breaks the next one takes nothing along
    sys.exit(not all(passed(outcome) for outcome in outcomes))


if __name__ == "__main__":
    main()
