"""The rows of an edge, for the main report: what `python -m bench.edges` wrote to results/edges.md is read again."""

import re
from typing import Any

from bench.report import RESULTS

SIZE = re.compile(r"^## (\d+ [KM]B)$", re.MULTILINE)
FACT = re.compile(r"^- ([a-z ]+): (.+)$", re.MULTILINE)
COLUMNS = {"ratio": "× bare", "nginx_us": "CPU µs nginx", "asked_us": "CPU µs asked"}


def measure() -> dict[str, Any]:
    """What stands there now."""
    return read((RESULTS / "edges.md").read_text())


def read(text: str) -> dict[str, Any]:
    """Its facts, and by size and recipe the figures of `COLUMNS`."""
    head, *parts = SIZE.split(text)
    sizes = {size: _rows(body.partition("\n## ")[0]) for size, body in zip(parts[::2], parts[1::2], strict=True)}
    if not sizes:
        raise ValueError("no size of a segment in results/edges.md")
    return {"facts": dict(FACT.findall(head)), "sizes": sizes}


def _rows(body: str) -> dict[str, dict[str, float]]:
    heads, _, *lines = [_cells(line) for line in body.splitlines() if line.startswith("|")]
    places = {name: heads.index(head) for name, head in COLUMNS.items()}
    return {cells[0]: {name: float(cells[at].strip("*")) for name, at in places.items()} for cells in lines}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
