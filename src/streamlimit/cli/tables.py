"""Tables on standard output."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> None:
    """As wide as the terminal; in a pipe as wide as it needs."""
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def shown(text: str) -> Text:
    """What somebody else chose, as it may go to a terminal: no markup, no control characters."""
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
