"""What viewers notice when a disk, a lock, a backup, a worker or the way to Valkey fails.

    python -m bench.faults [FAULT …] [--of LABEL] [--src FOLDER]

Each fault is a function here: it makes the fault with real things (a full tmpfs, a holder of the lock, SIGKILL) and
returns figures by name. `--src`: the sources of another checkout to measure, whose commit `--of` names. Writes
results/faults.json, and from it faults.md. Loopback only; each fault takes less than a minute.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import faults_valkey, filefaults
from bench.machine import described
from bench.report import RESULTS
from bench.surviving import attempt

Figures = dict[str, Any]
Fault = Callable[[Path], Figures]
"""Given an empty folder of its own."""

FAULTS: dict[str, Fault] = {
    "a full disk, and one worker of three killed": filefaults.full_disk,
    "a backup, 3 workers": filefaults.backup,
    "somebody reads the file for 20 s, 3 workers": filefaults.long_reader,
    "the file locked for 4 s, 3 workers": filefaults.locked_for_several,
    "the file locked for 4 s, 1 worker": filefaults.locked_for_one,
    "Valkey hangs for 8 s, n·X = 6 s": faults_valkey.hang,
    "a worker cut off from Valkey for 3 s, n·X = 6 s": faults_valkey.cut_off_for_3,
    "a worker cut off from Valkey for 14 s, n·X = 6 s": faults_valkey.cut_off_for_14,
}
"""By their names in the report."""


def main() -> None:
    """All faults, or those whose names begin so."""
    parser = argparse.ArgumentParser(prog="bench.faults")
    parser.add_argument("faults", nargs="*", metavar="FAULT")
    parser.add_argument("--of", default="", metavar="LABEL", help="what is measured; the commit by default")
    parser.add_argument("--src", type=Path, help="sources of another checkout")
    asked = parser.parse_args()
    if asked.src is not None:
        os.environ["PYTHONPATH"] = str(asked.src.resolve())
    facts = described()
    label = asked.of or facts["commit"]
    for name, fault in FAULTS.items():
        if not asked.faults or name.startswith(tuple(asked.faults)):
            _record(label, name, fault, facts)
    print(_write().read_text())


def _record(label: str, name: str, fault: Fault, facts: dict[str, str]) -> None:
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="streamlimit-fault-") as folder:
        problem = attempt(lambda: figures.update(fault(Path(folder))))
    record = _read()
    measured = record.setdefault(name, {})
    measured[label] = {"facts": facts} | ({"problem": problem} if problem else {"figures": figures})
    _path().write_text(json.dumps(record, indent=1) + "\n")
    print(f"{name}: {problem or figures}", file=sys.stderr, flush=True)


def _path() -> Path:
    return RESULTS / "faults.json"


def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_path().read_text()) if _path().exists() else {}
    return found


def _write() -> Path:
    """faults.md: a table a fault, a column a label, and the machine of the last measurement."""
    parts, facts = ["# Faults: what viewers notice"], dict[str, str]()
    for name, measured in _read().items():
        facts = list(measured.values())[-1]["facts"]
        parts += [f"## {name[0].upper()}{name[1:]}", _table(measured)]
    parts[1:1] = ["\n".join(f"- {what}: {value}" for what, value in facts.items() if what != "commit")]
    path = RESULTS / "faults.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path


def _table(measured: dict[str, Any]) -> str:
    names = dict.fromkeys(name for one in measured.values() for name in one.get("figures", {}))
    rows = ["| | " + " | ".join(measured) + " |", "|---" * (len(measured) + 1) + "|"]
    for name in names:
        values = (str(one.get("figures", {}).get(name, "–")) for one in measured.values())
        rows.append(f"| {name} | " + " | ".join(values) + " |")
    problems = [f"{label}: {one['problem']}" for label, one in measured.items() if "problem" in one]
    return "\n".join(rows + (["", *problems] if problems else []))


if __name__ == "__main__":
    main()
