"""What docs/guarantees.md names is there: tests, mutants, invariants, reports."""

import re
from pathlib import Path

from tests.mutants.runner import collected

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/guarantees.md").read_text()


def entries(kind: str) -> str:
    """All the items of the page that begin with *kind*, with the lines that they go on in."""
    return "\n".join(re.findall(rf"^- {kind}: (.*(?:\n  .*)*)", PAGE, re.MULTILINE))


def test_every_test_on_the_page_is_one() -> None:
    named = set(re.findall(r"`(test_\w+)`", entries("Tests")))
    sources = (path.read_text() for path in ROOT.glob("tests/**/*.py"))
    there = {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}
    assert len(named) > 40
    assert named - there == set()


def test_every_mutant_on_the_page_is_one() -> None:
    named = {
        " ".join(name.split())
        for name in re.findall(r'"([^"]+)"', entries("Mutants") + PAGE.split("## Counterexamples")[1])
    }
    assert len(named) > 25
    assert named - {mutant.name for mutant in collected()} == set()


def test_every_invariant_on_the_page_is_one() -> None:
    machine = (ROOT / "tests/model/machine.py").read_text()
    assert all(f"def {name}(" in machine for name in re.findall(r"`(\w+)`", entries("Model")))


def test_every_rule_has_its_tests_and_where_something_is_measured_its_report() -> None:
    rules = re.findall(r"^## (\d+)\. .*\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in rules] == list(range(1, 14))
    assert all("- Tests: " in text for _, text in rules)


def test_what_the_page_says_of_the_reports_of_faults_stands_in_them() -> None:
    """In the last column of `faults.md` is the code as it is; each row of `failover.md` tells of those who sit."""
    faults = (ROOT / "bench/results/faults.md").read_text()
    counted = [row.split("|")[-2].strip() for row in re.findall(r"^\| of them no 200 .*", faults, re.MULTILINE)]
    assert counted == ["0 (0 %)"] * 5
    assert "in the five faults that count them" in entries("Measured")
    failover = (ROOT / "bench/results/failover.md").read_text()
    rows = [row.split("|") for row in re.findall(r"^\| (?:redis|valkey) \| .*", failover, re.MULTILINE)]
    assert {row[4].strip() for row in rows if row[2].strip().startswith(("kill", "SIGSTOP"))} == {"0"}
