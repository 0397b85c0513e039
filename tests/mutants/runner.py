"""Breaks a copy of src, one breakage at a time (two side by side), and runs the tests that should notice."""

import importlib
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tests.mutants
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
SRC = ROOT / "src"
SIDE_BY_SIDE = 2
MOST_SECONDS = 600


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
        shutil.copytree(whole, src)
        (src / mutant.file).write_text(broken(mutant, whole))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "--timeout=60", "-p", "no:cacheprovider"]
        command += [f"--basetemp={folder}/tmp", *mutant.tests]
        code, said = _ran(command, {**os.environ, "PYTHONPATH": str(src), "PYTHONDONTWRITEBYTECODE": "1"})
    if code == 0:
        return None
    if code is None:
        return "(the tests do not end)"
    failed = re.search(r"^(?:FAILED|ERROR) \S*?::?(\S+)", said, flags=re.MULTILINE)
    if code != 1 or failed is None:
        raise RuntimeError(f"{mutant.name}: the tests did not run\n{said[-3000:]}")
    return failed[1].split("::")[-1]


def _ran(command: Sequence[str], environment: dict[str, str]) -> tuple[int | None, str]:
    """The exit code and what was printed; None: it took too long, and was ended with all that it had started."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, ""
        return process.returncode, said


def main(names: Sequence[str]) -> int:
    return run([mutant for mutant in collected() if not names or mutant.name in names])


def run(chosen: Sequence[Mutant]) -> int:
    """Breaks src in each of the *chosen* ways, and says which test noticed. The exit code: 1 where none did."""
    survived = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        whole = Path(folder) / "src"
        shutil.copytree(SRC, whole, ignore=shutil.ignore_patterns("__pycache__", "samples"))
        for mutant in chosen:
            broken(mutant, whole)
        tests = pool.map(lambda mutant: caught_by(mutant, whole), chosen)
        for mutant, test in zip(chosen, tests, strict=True):
            survived += test is None
            print(f"{mutant.name:<55} {test or 'SURVIVED'}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    return 1 if survived or not chosen else 0
