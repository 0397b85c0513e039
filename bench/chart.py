"""The bar chart of decisions a second, as SVG. Pure, as tables.py."""

from html import escape
from typing import Any

from bench.names import FLOORS, kind_of
from bench.tables import rate_of, short

WIDTH, BAR, GAP, LABEL, NUMBER = 860, 22, 8, 330, 90
OURS, THEIRS = "#2a6f97", "#a9b4c2"


def chart(part: dict[str, Any]) -> str:
    """A bar for each floor, and for who sits and who is new on one worker."""
    shown = [name for name in part["rows"] if name in FLOORS or kind_of(name) in ("sitting", "new")]
    rates = {name: rate for name in shown if "2 workers" not in name and (rate := rate_of(part, name))}
    most, bars = max(rates.values(), default=1.0), []
    for number, (name, rate) in enumerate(rates.items()):
        y = 10 + number * (BAR + GAP)
        width = max(int((WIDTH - LABEL - NUMBER) * rate / most), 1)
        colour = OURS if name.startswith("streamlimit") else THEIRS
        bars.append(f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        bars.append(f'<rect x="{LABEL}" y="{y}" width="{width}" height="{BAR}" fill="{colour}"/>')
        bars.append(f'<text x="{LABEL + width + 6}" y="{y + 15}">{short(rate)}</text>')
    height = 20 + len(rates) * (BAR + GAP)
    space, font = 'xmlns="http://www.w3.org/2000/svg"', 'font-family="sans-serif" font-size="13"'
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'  # GitHub may show it on black
    head = f'<svg {space} width="{WIDTH}" height="{height}" {font}>'
    return "\n".join([head, ground, *bars, "</svg>", ""])
