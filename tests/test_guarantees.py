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
