"""Breaks a copy of src and deploy, one breakage at a time (two side by side), and runs the tests that should notice."""

import importlib
import os
import pkgutil
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import tests.mutants
from tests.mutants.alone import adopt_orphans, ran
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
SRC = ROOT / "src"
SIDE_BY_SIDE = 2
MOST_SECONDS = 600
NOTHING = "nothing broken"


def collected() -> list[Mutant]:
    """The mutants of all areas."""
    names = sorted(module.name for module in pkgutil.iter_modules(tests.mutants.__path__))
    modules = [importlib.import_module(f"tests.mutants.{name}") for name in names if name != "__main__"]
    return [mutant for module in modules for mutant in getattr(module, "MUTANTS", ())]


def broken(mutant: Mutant, src: Path = SRC) -> str:
    """The file's text with the breakage. Raises where the list has rotted."""
    text = (src / mutant.file).read_text()
    found = text.count(mutant.old)
    if found != 1:
        raise LookupError(f"{mutant.name}: {mutant.old!r} is {found} times in {mutant.file}, not once")
    return text.replace(mutant.old, mutant.new)


def caught_by(mutant: Mutant, whole: Path) -> str | None:
    """The test that notices the breakage of *whole* (src as it was at the start), or None."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        src = Path(folder) / "src"
        shutil.copytree(whole.parent, folder, dirs_exist_ok=True)
        (src / mutant.file).write_text(broken(mutant, whole))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "--timeout=60", "-p", "no:cacheprovider"]
        command += [f"--basetemp={folder}/tmp", *mutant.tests]
        environment = {**os.environ, "PYTHONPATH": str(src), "PYTHONDONTWRITEBYTECODE": "1"}
        code, said = ran(command, ROOT, environment, MOST_SECONDS)
    if code == 0:
        return None
    if code is None:
        return "(the tests do not end)"
    failed = re.search(r"^(?:FAILED|ERROR) \S*?::?(\S+)", said, flags=re.MULTILINE)
    if code != 1 or failed is None:
        raise RuntimeError(f"{mutant.name}: the tests did not run\n{said[-3000:]}")
    if mutant.name.startswith(NOTHING):
        raise RuntimeError(f"{failed[1]} fails anyway\n{said[-3000:]}")
    return failed[1].split("::")[-1]


def unbroken(chosen: Iterable[Mutant]) -> list[Mutant]:
    """Some that break nothing: tests that fail without a breakage notice none. Of one file all chosen tests run
    together, once."""
    words = dict[tuple[str, ...], dict[str, Mutant]]()
    for mutant in chosen:
        options, word = _parted(mutant.tests)
        words.setdefault(options, {}).setdefault(word, mutant)
    return [_of_nothing(options, each) for options, each in words.items()]


def _parted(tests: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """A selection without its `-k`, and the expression of that; empty: all tests."""
    at = tests.index("-k") if "-k" in tests else len(tests)
    return (*tests[:at], *tests[at + 2 :]), " ".join(tests[at + 1 : at + 2])


def _of_nothing(options: Sequence[str], words: Mapping[str, Mutant]) -> Mutant:
    first = next(iter(words.values()))
    tests = options if "" in words else (*options, "-k", " or ".join(f"({word})" for word in words))
    return replace(first, name=f"{NOTHING}: {' '.join(tests)}", new=first.old, tests=tests)


def is_right(mutant: Mutant, test: str | None) -> bool:
    """Did a test notice, or, where nothing is broken, none?"""
    return (test is None) is mutant.name.startswith(NOTHING)


def main(names: Sequence[str]) -> int:
    return run([mutant for mutant in collected() if not names or mutant.name in names])


def run(chosen: Sequence[Mutant]) -> int:
    """Breaks src in each of the *chosen* ways, and says which test noticed. The exit code: 1 where none did."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        whole = Path(folder) / "src"
        shutil.copytree(SRC, whole, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "deploy", whole.parent / "deploy")
        for mutant in chosen:
            broken(mutant, whole)
        for mutant, said in verdicts([*unbroken(chosen), *chosen], whole):
            wrong += isinstance(said, Exception) or not is_right(mutant, said)
            print(f"{mutant.name:<55} {said or 'no test fails'}", flush=True)
    print(f"{len(chosen)} mutants; {wrong} survived, or were tried by tests that fail anyway or do not run")
    return 1 if wrong or not chosen else 0


def verdicts(mutants: Sequence[Mutant], whole: Path) -> Iterator[tuple[Mutant, str | Exception | None]]:
    """What `caught_by` says of each, or raises; in processes of their own, which end what tests leave running."""
    pool = ProcessPoolExecutor(SIDE_BY_SIDE, initializer=adopt_orphans)
    try:
        for mutant, future in [(mutant, pool.submit(caught_by, mutant, whole)) for mutant in mutants]:
            yield mutant, future.exception() or future.result()
    finally:
        pool.shutdown(cancel_futures=True)
