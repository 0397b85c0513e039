"""What `make mutants` says is so: nothing stays of what tests start, and each excuse is of one mutant."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.lua import mutants_of_text
from tests.mutants.mutant import Mutant
from tests.mutants.runner import is_right, unbroken
from tests.mutants.survivors import ALIVE, judged, key
from tests.service import wait_until

ROOT = Path(__file__).parent.parent
NEEDS_ADOPTION = pytest.mark.skipif(sys.platform != "linux", reason="processes are adopted on Linux alone")

RUN = """
import sys
from pathlib import Path
from tests.mutants.alone import adopt_orphans, ran
adopt_orphans()
print(ran(["sh", "-c", sys.argv[1]], Path("/"), {"PATH": sys.argv[2]}, float(sys.argv[3]))[0])
"""
POOL = """
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tests.mutants.alone import adopt_orphans, ran
pool = ProcessPoolExecutor(1, initializer=adopt_orphans)
pool.submit(ran, ["sh", "-c", sys.argv[1]], Path("/"), {"PATH": sys.argv[2]}, float(sys.argv[3])).result()
"""
SERVER = "setsid sh -c 'echo $$ > $0; exec sleep 600' {file} & until [ -s {file} ]; do :; done; "


def run(script: str, seconds: float) -> str:
    command = [sys.executable, "-c", RUN, script, "/usr/bin:/bin", str(seconds)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@NEEDS_ADOPTION
@pytest.mark.parametrize(("end", "code"), [("exit 3", "3"), ("kill -9 $$", "-9"), ("exec sleep 600", "None")])
def test_a_server_in_a_session_of_its_own_ends_with_the_tests_that_left_it(tmp_path: Path, end: str, code: str) -> None:
    file = tmp_path / "pid"
    assert run(SERVER.format(file=file) + end, 5 if code == "None" else 60) == code
    assert not Path(f"/proc/{file.read_text().strip()}").exists()


@NEEDS_ADOPTION
def test_nothing_stays_of_a_run_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    command = [sys.executable, "-c", POOL, SERVER.format(file=file) + "exec sleep 600", "/usr/bin:/bin", "600"]
    with subprocess.Popen(command, cwd=ROOT) as runner:
        wait_until(lambda: file.exists() and file.read_text(), 60, "the server")
        runner.kill()
    server = Path(f"/proc/{file.read_text().strip()}")
    wait_until(lambda: not server.exists(), 60, "the server's end")


def difference(old: str, new: str) -> str:
    return f"--- src/streamlimit/rules/leave.py\n+++ src/streamlimit/rules/leave.py\n@@ -1 +1 @@\n-{old}\n+{new}\n"


def test_a_mutant_is_known_by_its_function_and_by_its_class() -> None:
    change = difference("    return a < b", "    return a <= b")
    assert key("leave.x_forget__mutmut_7", change) == "leave.forget: return a <= b"
    assert key("leave.x__seats__mutmut_1", change) == "leave._seats: return a <= b"
    assert key("ledger.xǁLedgerǁdue_at_ms__mutmut_12", change) == "ledger.Ledger.due_at_ms: return a <= b"


def test_an_entry_excuses_one_mutant_and_one_that_excuses_none_is_named() -> None:
    left, stale = judged([("a.f: x", "first"), ("a.f: x", "second"), ("a.g: x", "third")], ["a.f: x", "a.h: x"])
    assert left == ["a.f: x\nsecond", "a.g: x\nthird"]
    assert stale == ["a.h: x"]


@pytest.mark.parametrize("verdict", ["survived", "timeout", "suspicious", "no tests", "segfault", "not checked"])
def test_whatever_no_test_failed_for_is_a_survivor(verdict: str) -> None:
    assert [name for name, _ in ALIVE.findall(f"    streamlimit.rules.leave.x_end__mutmut_1: {verdict}\n")]
    assert not ALIVE.findall("    streamlimit.rules.leave.x_end__mutmut_1: caught by type check\n")


def mutant(name: str, *tests: str) -> Mutant:
    return Mutant(name, "a.py", "old", "new", tests)


def test_tests_that_fail_anyway_notice_nothing() -> None:
    mutants = [mutant("a", "x"), mutant("b", "x")]
    nothing, *others = unbroken(mutants)
    assert (others, nothing.old, nothing.new) == ([], "old", "old")
    assert is_right(nothing, None)
    assert not is_right(nothing, "test_that_fails")
    assert is_right(mutants[0], "test_that_fails")
    assert not is_right(mutants[0], None)


def test_where_nothing_is_broken_the_chosen_tests_of_a_file_run_together() -> None:
    some = [mutant("a", "x", "--slow", "-k", "one or two"), mutant("b", "y"), mutant("c", "x", "--slow", "-k", "three")]
    assert [each.tests for each in unbroken(some)] == [("x", "--slow", "-k", "(one or two) or (three)"), ("y",)]
    assert [each.tests for each in unbroken([*some, mutant("d", "x", "--slow")])] == [("x", "--slow"), ("y",)]


def test_a_broken_line_of_a_script_is_known_by_its_function() -> None:
    text = "local now = 1\nlocal function room(seats)\n  return seats > 0\nend\nlocal later = 2\n"
    names = [name for name, _ in mutants_of_text("rules", text)]
    assert names[0] == "rules.lua: local now = 2 (line 1)"
    assert "rules.lua room: return seats >= 0 (line 3)" in names
    assert names[-1] == "rules.lua: local later = 3 (line 5)"
