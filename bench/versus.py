"""`python -m bench.versus REVISION [ROW …]`: this checkout beside an earlier one, in turns, on one machine in one run.

Each runs with the packages of its own lock, and has loaded all that it loads behind its start. Each row is a kind of
request on one store; what is printed are medians of the rounds: rate and CPU of the service a request, and their ratios
to REVISION's.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from bench.delivery import issue, make_stream
from bench.kinds import HEARTBEAT, NEW, SEGMENT, SITTING, Asked, asked, seats_taken
from bench.load import Load, load
from bench.programs import streamlimit, valkey
from bench.race import answered

ROOT, LOCK = Path(__file__).resolve().parent.parent, "requirements.lock"
REFUSED, HAMMERING = asked(HEARTBEAT, "refused first"), asked(HEARTBEAT, "refused from memory")
ROWS = {
    "sitting on Valkey": ("valkey", SITTING),
    "new on Valkey": ("valkey", NEW),
    "refused first on Valkey": ("valkey", REFUSED),
    "refused from memory on Valkey": ("valkey", HAMMERING),
    "sitting on SQLite": ("sqlite", SITTING),
    "new on SQLite": ("sqlite", NEW),
    "refused first on SQLite": ("sqlite", REFUSED),
    "2 KB segment on Valkey": ("valkey", SEGMENT),
    "2 KB segment on SQLite": ("sqlite", SEGMENT),
    "100 KB segment on Valkey": ("valkey", Asked(issue("100 KB"))),
}


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """A checkout of *revision* of its own; with packages of its own where its lock is another."""
    with tempfile.TemporaryDirectory(prefix="versus-") as folder:
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", folder, revision], cwd=ROOT, check=True)
        try:
            if (Path(folder) / LOCK).read_bytes() != (ROOT / LOCK).read_bytes():
                subprocess.run(["make", "--silent", "setup", f"PYTHON={sys.executable}"], cwd=folder, check=True)
            yield Path(folder)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


def once(source: Path, name: str, seconds: int) -> Load:
    """One measurement of the row called *name*, after a second that does not count."""
    store, request = ROWS[name]
    with tempfile.TemporaryDirectory(prefix="versus-") as folder, valkey() as server:
        settings: dict[str, str] = {}
        if store == "valkey":
            settings["store"] = f"redis://127.0.0.1:{server.port}/0"
        if "100 KB" in name:
            make_stream(Path(folder) / "streams" / "100-KB", 100_000)
            settings["streams"] = f"{folder}/streams"
        with streamlimit(Path(folder), source=source, **settings) as service:
            urlopen(f"{service.url}/openapi.json").read()  # comes when the control plane was imported
            if request.refuses:
                answered(service.port, seats_taken(HEARTBEAT), 200)
            load(service, request.lua, seconds=1)
            return load(service, request.lua, seconds, refuses=request.refuses)


def main() -> None:
    """All rows, or those that are named."""
    parser = argparse.ArgumentParser(prog="bench.versus")
    parser.add_argument("revision")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with checkout(options.revision) as before:
        print(f"{'':<28}{'a second':>10}{'×':>7}{'CPU µs':>9}{'×':>7}{'p99 ms':>9}{'errors':>8}")
        for name in options.rows or ROWS:
            pairs = [[once(source, name, options.seconds) for source in (before, ROOT)] for _ in range(options.rounds)]
            old, new = zip(*pairs, strict=True)
            rate = median(b.per_second / a.per_second for a, b in pairs)
            cpu = median(b.cpu_us / a.cpu_us for a, b in pairs)
            for who, runs, ratios in (("before", old, ("", "")), ("now", new, (f"{rate:.2f}", f"{cpu:.2f}"))):
                per_second, cpu_us = median(run.per_second for run in runs), median(run.cpu_us for run in runs)
                p99, errors = median(run.p99_ms for run in runs), sum(run.errors for run in runs)
                print(
                    f"{name if who == 'before' else '  now':<28}{per_second:>10,.0f}{ratios[0]:>7}{cpu_us:>9.1f}"
                    f"{ratios[1]:>7}{p99:>9.2f}{errors:>8}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
