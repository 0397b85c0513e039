"""Writes what was measured: Markdown with ratios first, and a bar chart in SVG."""

from pathlib import Path
from statistics import median

from bench.load import Load
from bench.machine import described

RESULTS = Path(__file__).parent / "results"
WIDTH, BAR, LABEL = 860, 22, 330


def table(found: dict[str, list[Load]], floor: str, value: str = "per_second", unit: str = "a second") -> str:
    """One line a row: its ratio to *floor*, the median, CPU, latencies, errors."""
    base = _median(found[floor], value)
    lines = [
        f"| what | × {floor} | {unit} | CPU µs | p50 ms | p99 ms | p99.9 ms | errors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, loads in found.items():
        rate = _median(loads, value)
        latencies = " | ".join(f"{_median(loads, p):.2f}" for p in ("p50_ms", "p99_ms", "p999_ms"))
        cpu, errors = _median(loads, "cpu_us"), sum(load.errors for load in loads)
        lines.append(f"| {name} | **{rate / base:.2f}** | {_short(rate)} | {cpu:.1f} | {latencies} | {errors} |")
    return "\n".join(lines)


def write(name: str, title: str, parts: list[str]) -> Path:
    """`results/<name>.md`, with the machine on top."""
    RESULTS.mkdir(exist_ok=True)
    facts = "\n".join(f"- {key}: {text}" for key, text in described().items())
    path = RESULTS / f"{name}.md"
    path.write_text("\n\n".join([f"# {title}", facts, *parts]) + "\n")
    return path


def chart(name: str, found: dict[str, list[Load]], value: str = "per_second") -> str:
    """`results/<name>.svg`, and the Markdown that shows it."""
    rates = {row: _median(loads, value) for row, loads in found.items()}
    most = max(rates.values())
    bars = []
    for number, (row, rate) in enumerate(rates.items()):
        y = 10 + number * (BAR + 8)
        width = max(int((WIDTH - LABEL - 90) * rate / most), 1)
        colour = "#2a6f97" if row.startswith("streamlimit") else "#a9b4c2"
        bars.append(f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{row}</text>')
        bars.append(f'<rect x="{LABEL}" y="{y}" width="{width}" height="{BAR}" fill="{colour}"/>')
        bars.append(f'<text x="{LABEL + width + 6}" y="{y + 15}">{_short(rate)}</text>')
    height = 20 + len(rates) * (BAR + 8)
    space, font = 'xmlns="http://www.w3.org/2000/svg"', 'font-family="sans-serif" font-size="13"'
    head = f'<svg {space} width="{WIDTH}" height="{height}" {font}>'
    (RESULTS / f"{name}.svg").write_text("\n".join([head, *bars, "</svg>", ""]))
    return f"![{name}]({name}.svg)"


def _median(loads: list[Load], field: str) -> float:
    return median(getattr(load, field) for load in loads)


def _short(rate: float) -> str:
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if rate >= limit:
            return f"{rate / limit:.2f}{unit}" if limit > 1e3 else f"{rate / limit:.1f}{unit}"
    return f"{rate:.0f}"
