"""The output of commands: tables, and one JSON document a line."""

import re
import sys
from collections.abc import Iterable
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

_MEANS_SOMETHING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters and those that change the direction of writing; not joiners (needed in Persian) or wide spaces."""


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> None:
    """Prints a table as wide as the terminal; in a pipe as wide as it needs."""
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def print_lines(documents: Iterable[Any]) -> None:
    """Prints each as JSON, on a line of its own."""
    for document in documents:
        print(msgspec.json.encode(document).decode(), flush=True)


def shown(text: str) -> Text:
    """Text chosen by others, for a terminal: without markup, control characters and changes of direction."""
    return Text(_MEANS_SOMETHING.sub("\N{REPLACEMENT CHARACTER}", text))
