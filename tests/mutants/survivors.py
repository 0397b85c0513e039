"""`python -m tests.mutants.survivors`: what `mutmut run` left alive and a test might notice (equivalent.py)."""

import re
import subprocess
import sys
from pathlib import Path

from tests.mutants.equivalent import PYTHON

MUTMUT = Path(sys.executable).with_name("mutmut")
ALIVE = re.compile(r"^\s+streamlimit\.rules\.(\S+): (?!killed|caught by type check|not checked)(.*)$", re.MULTILINE)


def _said(*words: str) -> str:
    return subprocess.run([MUTMUT, *words], capture_output=True, text=True, check=True).stdout


def change(name: str) -> tuple[str, str]:
    """Of the mutant of that *name*: what it does to its file, as a key of `PYTHON`; and the whole difference."""
    difference = _said("show", f"streamlimit.rules.{name}")
    new = [line[1:].strip() for line in difference.splitlines() if re.match(r"\+(?!\+\+)", line)]
    old = [line[1:].strip() for line in difference.splitlines() if re.match(r"-(?!--)", line)]
    return f"{name.split('.')[0]}: {' '.join(new) or 'without ' + ' '.join(old)}", difference


def main() -> int:
    left, known = list[str](), set[str]()
    for name, _ in ALIVE.findall(_said("results")):
        key, difference = change(name)
        if key in PYTHON:
            known.add(key)
        else:
            left.append(difference)
    print("\n".join(left))
    stale = [f"equivalent.py names what is caught, or is gone: {key}" for key in PYTHON if key not in known]
    print("\n".join(stale))
    print(f"{len(left)} of mutmut's mutants survived; {len(known)} more that no test can notice")
    return 1 if left or stale else 0


if __name__ == "__main__":
    sys.exit(main())
