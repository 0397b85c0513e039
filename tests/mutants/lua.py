"""Breaks the scripts of the Valkey store in small ways, one at a time: what mutmut is for Python.

`python -m tests.mutants.lua [COUNT [SEED [FILE …]]]`: a sample of them (the same for the same seed), each on a real
server against the contract of stores and beside the rules in Python; without those that no test can notice
(equivalent.py).
"""

import random
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import chain

from tests.mutants.equivalent import LUA
from tests.mutants.mutant import Mutant
from tests.mutants.runner import SRC, run

FOLDER = "streamlimit/store/valkey"
FILES = (
    *("abandon", "admit", "beat", "confirm", "end", "expire", "forget", "forgive", "grants", "ledger", "preamble"),
    *("prolong", "question", "rules", "seats", "set_limit", "terminate", "visits"),
)
TESTS = ("tests/store/test_valkey.py", "-k", "(TestOnValkey and not Cluster) or TestBeside")
COUNT, SEED = 100, 1

PAIRS = ("<", "<="), (">", ">="), ("==", "~="), ("+", "-"), ("and", "or"), ("true", "false"), ("max", "min")
SWAPS = {"not": "", **dict(PAIRS), **{other: one for one, other in PAIRS}}
TOKEN = re.compile(r"--.*|'(?:[^'\\]|\\.)*'|[<>=~]=|\w+|\S")
FUNCTION = re.compile(r"(?:local )?function (\w+)\(")
STATEMENT = re.compile(r"(?!(?:local|return|for|if|elseif|while|unpack)\b)(?:[\w.#\[\], ]+ = .*[^,({]|[\w.]+\(.*\))")


def broken_lines(line: str) -> Iterator[str]:
    """Every way to break one line once; empty: it is left out."""
    for token in TOKEN.finditer(line):
        word = token[0]
        new = str(int(word) + 1) if word.isdigit() else SWAPS.get(word)
        if new is not None:
            yield line[: token.start()] + new + line[token.end() :]
    statement = line.partition("--")[0].strip()
    if STATEMENT.fullmatch(statement) and all(statement.count(a) == statement.count(b) for a, b in ("()", "{}")):
        yield ""


def mutants_of_text(file: str, text: str) -> Iterator[tuple[str, str]]:
    """What is broken, by the function and the line as it stands then, and the whole text so; but for those that no
    test can notice."""
    lines, function = text.split("\n"), ""
    for at, line in enumerate(lines):
        begins = FUNCTION.match(line)
        function = f" {begins[1]}" if begins else "" if line == "end" else function
        for broken in broken_lines(line):
            what = f"{file}.lua{function}: {broken.strip() or 'without ' + line.strip()}"
            if what not in LUA:
                yield f"{what} (line {at + 1})", "\n".join([*lines[:at], broken, *lines[at + 1 :]])


def mutants_of(file: str) -> Iterator[Mutant]:
    """All of a script, or of what scripts include."""
    path = f"{FOLDER}/{file}.lua"
    text = (SRC / path).read_text()
    for name, broken in mutants_of_text(file, text):
        yield Mutant(name, path, text, broken, TESTS)


def main(arguments: Sequence[str]) -> int:
    count, seed = [*map(int, arguments[:2]), *(COUNT, SEED)[len(arguments[:2]) :]]
    mutants = list(chain.from_iterable(map(mutants_of, arguments[2:] or FILES)))
    return run(random.Random(seed).sample(mutants, min(count, len(mutants))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
