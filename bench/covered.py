"""Which lines and branches the tests ran, by room: `make coverage` writes results/coverage.md."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import write

DECIDING = ("rules", "limiter", "refusal_limiter", "store")
"""The rooms that decide; of their branches 98 % are aimed at."""

SHOWN = ("num_statements", "covered_lines", "num_branches", "covered_branches")


class Room(NamedTuple):
    """All files of one folder, or one file, of the package."""

    name: str
    counts: Counter[str]

    @property
    def lines(self) -> float:
        return _share(self.counts["covered_lines"], self.counts["num_statements"])

    @property
    def branches(self) -> float:
        return _share(self.counts["covered_branches"], self.counts["num_branches"])


def rooms(files: dict[str, Any]) -> list[Room]:
    """As they lie below `src/streamlimit`, from the report of coverage.py."""
    found: dict[str, Counter[str]] = {}
    for path, measured in files.items():
        inside = path.rpartition("src/streamlimit/")[2]
        name = inside.partition("/")[0].removesuffix(".py")
        found.setdefault(name, Counter()).update({name: measured["summary"][name] for name in SHOWN})
    return [Room(name, counts) for name, counts in sorted(found.items())]


def whole(parts: Iterable[Room]) -> Room:
    """Their sum."""
    total = Counter[str]()
    for room in parts:
        total.update(room.counts)
    return Room("all", total)


def table(parts: list[Room], is_whole: bool) -> str:
    """Those that decide first; where the whole suite was run then all the others, then the sum."""
    first = [room for name in DECIDING for room in parts if room.name == name]
    rest = [room for room in parts if room not in first]
    sums = [whole(first)._replace(name="**what decides**")]
    sums += [*rest, whole(parts)._replace(name="**all**")] if is_whole else []
    rows = ["| room | lines | of them run | branches | of them taken |", "|---|---|---|---|---|"]
    for room in (*first, *sums):
        counts = room.counts
        lines, branches = f"{counts['num_statements']:,}", f"{counts['num_branches']:,}"
        rows.append(f"| {room.name} | {lines} | {room.lines:.1%} | {branches} | {room.branches:.1%} |")
    return "\n".join(rows)


def missing(files: dict[str, Any]) -> str:
    """Branches of the rooms that decide which nobody took."""
    lines = []
    for path, measured in sorted(files.items()):
        inside = path.rpartition("src/streamlimit/")[2]
        if inside.partition("/")[0].removesuffix(".py") in DECIDING and measured["missing_branches"]:
            arcs = ", ".join(f"{a}→{b}" if b > 0 else f"{a}→end" for a, b in measured["missing_branches"])
            lines.append(f"- {inside}: {arcs}")
    return "\n".join(lines)


def main(tests: list[str]) -> None:
    """*tests*: which were run, all where none is named."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", str(path)], check=True)
        files = json.loads(path.read_text())["files"]
    text = (
        "Each line, and each way out of each condition, that ran at least once, services that tests start included.\n"
    )
    text += f'Run: `make coverage PYTEST_ARGS="{" ".join(tests)}"`; the rooms that these are not about are left out.'
    text = text if tests else text.partition("\n")[0] + " Run: `make coverage`."
    parts = [text, table(rooms(files), is_whole=not tests)]
    left = missing(files)
    if left:
        parts += ["Not taken, where it is decided (line → line):", left]
    print(write("coverage", "What the tests run", parts).read_text())


def _share(part: int, of: int) -> float:
    return part / of if of else 1.0


if __name__ == "__main__":
    main(sys.argv[1:])
