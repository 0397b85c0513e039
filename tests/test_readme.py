"""A newcomer's walk: every command line of README.md is run in one shell, in order, and its answer compared.

`…` in a printed answer stands for anything. What starts the service is left out: it runs already, on another port.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import needs
from tests.service import Service, started

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = ("make demo", "make test", ".venv/bin/streamlimit serve ")
PROMPT = "$ "
DONE = "--- that was all ---"


def steps(text: str) -> list[tuple[str, str]]:
    """Command lines and the answers printed under them."""
    found: list[tuple[str, str]] = []
    for block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith(PROMPT):
                found.append((line.removeprefix(PROMPT), ""))
            else:
                command, answer = found.pop()
                found.append((command, f"{answer}\n{line}" if answer else line))
    return found


class Shell:
    """One bash that runs a line at a time, as at a terminal: what one line defines, the next one knows."""

    def __init__(self, folder: Path) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=folder,
        )  # fmt: skip
        self.run("shopt -s expand_aliases")

    def run(self, command: str) -> str:
        """What it printed."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}\nprintf '\\n{DONE}\\n'\n")
        self._bash.stdin.flush()
        lines = []
        while (line := self._bash.stdout.readline()) != DONE + "\n":
            assert line, f"the shell ended at: {command}"
            lines.append(line)
        return "".join(lines).strip()

    def close(self) -> None:
        self._bash.communicate("exit\n")


def matches(expected: str, got: str) -> bool:
    """Is *got* what stands there?"""
    pattern = ".*".join(re.escape(part) for part in expected.split("…"))
    return re.fullmatch(pattern, got, re.DOTALL) is not None


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Service]:
    needs("bash", "curl")
    with started(tmp_path, "demo", streams=None, operator_keys=None) as service:
        yield service


def test_the_walk(demo: Service, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for command, expected in steps(README):
        if command.startswith(NOT_RUN):
            continue
        got = shell.run(command.replace(":8080", f":{demo.port}"))
        assert matches(expected, got), f"$ {command}\nexpected: {expected}\ngot:      {got}"
    shell.close()


def test_what_the_walk_leaves_out_is_there_once_and_the_rest_is_really_run() -> None:
    commands = [command for command, _ in steps(README)]
    assert all(sum(c.startswith(left_out) for c in commands) == 1 for left_out in NOT_RUN)
    assert sum(not c.startswith(NOT_RUN) for c in commands) >= 9


def test_every_shell_example_is_in_a_block_that_is_run() -> None:
    assert not re.findall(r"^```(?:sh|bash|shell)$", README, re.MULTILINE)


def test_a_wrong_answer_is_noticed() -> None:
    assert matches("200 … live=1", "200 video/1.ts live=1")
    assert not matches("200 … live=1", "200 video/1.ts live=2")
    assert not matches("", "bash: ask: command not found")
