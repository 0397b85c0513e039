"""Writes the Markdown of parts with their own command (growth, failover, sweep); book.py writes the main report."""

from pathlib import Path

from bench.machine import described

RESULTS = Path(__file__).parent / "results"


def write(name: str, title: str, parts: list[str]) -> Path:
    """`results/<name>.md`, with the machine on top."""
    RESULTS.mkdir(exist_ok=True)
    facts = "\n".join(f"- {key}: {text}" for key, text in described().items())
    path = RESULTS / f"{name}.md"
    path.write_text("\n\n".join([f"# {title}", facts, *parts]) + "\n")
    return path
