"""`make bench`: measures decisions and delivery, and writes results/. Wants a machine that does nothing else.

`python -m bench [decisions|delivery] [--rounds N] [--seconds N]`
"""

import argparse

from bench import decisions, delivery, report


def main() -> None:
    """All questions, or the one that is named."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("question", nargs="?", choices=["decisions", "delivery"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    asked = parser.parse_args()
    if asked.question in (None, "decisions"):
        print(_decisions(asked.rounds, asked.seconds))
    if asked.question in (None, "delivery"):
        print(_delivery(asked.rounds, asked.seconds))


def _decisions(rounds: int, seconds: int) -> str:
    found = decisions.measure(rounds, seconds)
    how = (
        f"One server core, wrk `-t1 -c32` and the store on the other; median of {rounds} interleaved rounds of "
        f"{seconds} s. Sitting: a heartbeat of one of 1,000 sessions that sit, decided and confirmed. New: a session "
        "never seen is seated and confirmed. Limit 3, all rules, validation and metrics on."
    )
    parts = [how, report.table(found, decisions.FLOOR), report.chart("decisions", found)]
    return str(report.write("decisions", "Decisions a second", parts))


def _delivery(rounds: int, seconds: int) -> str:
    found = delivery.measure(rounds, seconds)
    how = (
        "Segments with receipts beside nginx's static files (sendfile) on the same core: bytes per CPU second of the "
        f"server. Median of {rounds} interleaved rounds of {seconds} s."
    )
    tables = []
    for size in delivery.SIZES:
        rows = {name: loads for name, loads in found.items() if name.endswith(size)}
        tables.append(report.table(rows, f"nginx, {size}", "bytes_per_cpu_second", "bytes per CPU second"))
    return str(report.write("delivery", "Bytes per server CPU second", [how, *tables]))


if __name__ == "__main__":
    main()
