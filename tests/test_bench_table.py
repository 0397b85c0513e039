"""The published figures are those that were measured: README's table, the report and its chart are of report.json."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench import book
from bench.chart import chart
from bench.names import NAIVE_SITTING
from bench.record import Record
from bench.report import RESULTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PARTS: dict[str, Any] = json.loads((RESULTS / "report.json").read_text())


def block_of(text: str) -> str:
    begin, end = text.index(book.BEGIN), text.index(book.END)
    return text[begin:end] + book.END


def test_the_table_in_the_readme_is_that_of_the_report() -> None:
    assert block_of(README) == book.readme(PARTS), "python -m bench table"


def test_the_report_and_its_chart_are_what_was_measured() -> None:
    notes = RESULTS / "notes.md"
    text = book.report(PARTS, notes.read_text() if notes.exists() else "")
    assert (RESULTS / "report.md").read_text() == text, "python -m bench table"
    assert (RESULTS / "report.svg").read_text() == chart(PARTS["decisions"]["data"])


def test_every_ratio_in_the_readme_is_in_the_report_too() -> None:
    ratios = re.findall(r"^\| (.+?) \| (\*\*[\d.]+\*\*) \| (\*\*[\d.]+\*\*) \|", block_of(README), re.MULTILINE)
    measured = PARTS["decisions"]["data"]["rows"]
    assert [row for row, *_ in ratios] == [row for row in book.IN_README if row in measured]
    report = (RESULTS / "report.md").read_text()
    assert [ratio for ratio in ratios if "| {} | {} | {} |".format(*ratio) not in report] == []


def test_no_published_part_failed() -> None:
    assert {name for name, part in PARTS.items() if "problem" in part} == set()


def test_a_part_that_fails_is_named_in_the_report_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(PARTS))
    record = Record(tmp_path)
    problem = record.measure("delivery", lambda: pytest.skip("no wrk here"))
    assert problem == "Skipped: no wrk here"
    text = (tmp_path / "report.md").read_text()
    assert "**It failed:** `Skipped: no wrk here`" in text
    assert "3 MB segments: × nginx's bytes per CPU second | ≥ 0.9 | – | not measured |" in text
    assert "streamlimit on Valkey, sitting" in text
    assert (ROOT / "README.md").read_text() == README


def test_a_row_that_fails_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(PARTS))
    data = json.loads(json.dumps(PARTS["decisions"]["data"]))
    data["rows"][NAIVE_SITTING] = {"loads": [], "half": [], "problem": "RuntimeError: it did not start"}
    assert Record(tmp_path).measure("decisions", lambda: data) == f"failed: {NAIVE_SITTING}"
    said = f"**Failed:** {NAIVE_SITTING}: `RuntimeError: it did not start`"
    assert said in (tmp_path / "report.md").read_text()


def test_what_surrounds_the_table_stays() -> None:
    assert book.with_table(README, book.readme(PARTS)) == README
    with pytest.raises(ValueError, match="marks"):
        book.with_table("no marks here", "")
