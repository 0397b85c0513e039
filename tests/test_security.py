"""SECURITY.md names, for each threat, tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text()
THREATS = [
    line.strip("|").split(" | ") for line in TEXT.partition("## Threats")[2].splitlines() if line.startswith("| ")
][1:]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_test_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("threat", THREATS, ids=lambda cells: cells[0].strip()[:40])
def test_each_threat_has_a_test(threat: list[str]) -> None:
    assert len(threat) == 3
    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", threat[2])


def test_there_are_threats() -> None:
    assert len(THREATS) > 20
