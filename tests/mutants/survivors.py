"""`python -m tests.mutants.survivors`: what `mutmut run` left alive and a test might notice (equivalent.py)."""

import re
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from tests.mutants.equivalent import PYTHON

MUTMUT = Path(sys.executable).with_name("mutmut")
CLASS = "ǁ"  # what mutmut writes around the name of a class
ALIVE = re.compile(r"^\s+streamlimit\.rules\.(\S+): (?!killed$|caught by type check$)(.*)$", re.MULTILINE)
"""A mutant that no test failed for: it survived, or has no verdict, since its tests did not end or did not run."""


def _said(*words: str) -> str:
    return subprocess.run([MUTMUT, *words], capture_output=True, text=True, check=True).stdout


def key(name: str, difference: str) -> str:
    """What the mutant of that *name* does: its function, and the lines as they stand broken (or are left out)."""
    file, function = re.fullmatch(r"(\w+)\.x_?(.+)__mutmut_\d+", name).groups()
    new = [line[1:].strip() for line in difference.splitlines() if re.match(r"\+(?!\+\+)", line)]
    old = [line[1:].strip() for line in difference.splitlines() if re.match(r"-(?!--)", line)]
    place = f"{file}.{function.strip(CLASS).replace(CLASS, '.')}"
    return f"{place}: {' '.join(new) or 'without ' + ' '.join(old)}"


def judged(alive: Iterable[tuple[str, str]], known: Collection[str]) -> tuple[list[str], list[str]]:
    """Of mutants *alive* (key and difference): the differences that no entry of *known* excuses, one mutant each;
    and the entries that excuse none."""
    left, open_entries = list[str](), set(known)
    for what, difference in alive:
        if what in open_entries:
            open_entries.remove(what)
        else:
            left.append(f"{what}\n{difference}")
    return left, [entry for entry in known if entry in open_entries]


def main() -> int:
    shown = [(name, _said("show", f"streamlimit.rules.{name}")) for name, _ in ALIVE.findall(_said("results"))]
    left, stale = judged([(key(name, difference), difference) for name, difference in shown], PYTHON)
    print("\n".join(left))
    print("\n".join(f"equivalent.py names what is caught, or is gone: {entry}" for entry in stale))
    print(f"{len(left)} of mutmut's mutants survived; {len(shown) - len(left)} more that no test can notice")
    return 1 if left or stale else 0


if __name__ == "__main__":
    sys.exit(main())
