"""results/report.json, what is written from it, and a part's way into it, whether it succeeds or fails."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import book
from bench.chart import chart
from bench.machine import described
from bench.noise import WORD, is_too_noisy
from bench.report import RESULTS
from bench.surviving import attempt

README = RESULTS.parent.parent / "README.md"


class Record:
    """Kept in *folder*. README.md is written only from the results that belong to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "report.json"
        self.parts: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def measure(self, name: str, work: Callable[[], dict[str, Any]]) -> str | None:
        """Runs a part and writes all anew. What went wrong, if anything; the part's old figures are gone then."""
        part: dict[str, Any] = {"facts": described()}
        problem = attempt(lambda: part.update(data=work()))
        part["facts"] = part.get("data", {}).pop("facts", part["facts"])  # what was measured elsewhere brings its own
        if problem is not None:
            part["problem"] = problem
        self.parts[name] = part
        self.write()
        data = part.get("data", {})
        broken = [row for row, found in data.get("rows", {}).items() if "problem" in found]
        if problem is None and broken:
            problem = f"failed: {', '.join(broken)}"
        if problem is None and is_too_noisy(min(data.get("noise", [0.0]))):
            problem = WORD
        return problem

    def write(self) -> None:
        """The figures, the report, the chart, and README's table."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self.parts, indent=1) + "\n")
        notes = self.folder / "notes.md"
        text = book.report(self.parts, notes.read_text() if notes.exists() else "")
        (self.folder / "report.md").write_text(text)
        decisions = self.parts.get("decisions", {}).get("data")
        if decisions is None:
            return
        (self.folder / "report.svg").write_text(chart(decisions))
        if self.folder.resolve() == RESULTS:
            README.write_text(book.with_table(README.read_text(), book.readme(self.parts)))
