"""Exit codes that scripts can trust, of every command that asks a running service; and what bash completes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlimit.cli import app
from streamlimit.settings import key_hash
from tests import launcher
from tests.needs import needs
from tests.ports import free_port
from tests.service import OPERATOR_KEY, Service, started, temporary_folder

READER = "the-key-of-a-reader"
GOOD = (
    "sessions",
    "sessions nobody",
    "sessions nobody --forgive-all",
    "sessions nobody --forgive tv",
    "limit ada 4 --until tomorrow",
    "limit ada",
    "limit ada --remove",
    "limits --json",
    "top",
    "callbacks",
    "report --by plan,hour",
    "streams",
    "expire --max-seconds 30",
)
ENDLESS = ("events",)
FOR_OPERATORS = ("sessions nobody --forgive-all", "limit ada 4", "limit ada --remove", "expire")
WRONG_USE = (
    ("sessions --end tv", "--end"),
    ("sessions --forgive tv", "--forgive"),
    ("sessions a/b", "USER"),
    ("sessions ada --nonsense", "--nonsense"),
    ("limit", "user"),
    ("limit ada 65", "65"),
    ("limit ada 0", "0"),
    ("limit ada 4 --until yesterday", "--until"),
    ("limit ada 4 --remove", "--remove"),
    ("events --type session.born", "--type"),
    ("events --user a/b", "--user"),
    ("callbacks --replay", "--replay"),
    ("callbacks --test", "--test"),
    ("report --month soon", "--month"),
    ("report --by colour", "--by"),
    ("expire --max-seconds 0", "--max-seconds"),
)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    keys = [OPERATOR_KEY, {"name": "reader", "role": "read", "hash": key_hash(READER)}]
    with temporary_folder() as folder, started(folder, operator_keys=keys, sweep_seconds=0) as running:
        yield running


def run(line: str, folder: Path, url: str, key: str = OPERATOR_KEY) -> tuple[int, str, str]:
    """Of the real command: exit code, output, complaints."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    return launcher.run(line.split(), folder, own | {"STREAMLIMIT_URL": url, "STREAMLIMIT_KEY": key})


def test_every_command_that_takes_a_url_is_in_these_tables() -> None:
    takes_url = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback and "url" in command.callback.__annotations__
    }
    assert takes_url == {line.split()[0] for line in (*GOOD, *ENDLESS)} | {"bench"}


@pytest.mark.parametrize("line", GOOD)
def test_0_where_it_is_done(service: Service, tmp_path: Path, line: str) -> None:
    code, _, complaints = run(line, tmp_path, service.url)
    assert (code, complaints.replace("streamlimit: shown once: the output is no terminal\n", "")) == (0, "")


@pytest.mark.parametrize("line", [*GOOD, *ENDLESS])
def test_1_where_nobody_answers_or_the_key_is_none(service: Service, tmp_path: Path, line: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    for url, key, told in (
        (nowhere, OPERATOR_KEY, "no answer: .*refused"),
        (service.url, "no-such-key", "401 unauthenticated"),
    ):
        code, output, complaints = run(line, tmp_path, url, key)
        assert (code, output) == (1, ""), complaints
        assert re.search(told, complaints)
        assert len(complaints.splitlines()) == 1


@pytest.mark.parametrize("line", FOR_OPERATORS)
def test_1_where_a_reader_would_change_something(service: Service, tmp_path: Path, line: str) -> None:
    code, output, complaints = run(line, tmp_path, service.url, READER)
    assert (code, output) == (1, "")
    assert "403 forbidden" in complaints


def test_1_where_there_is_no_such_session(service: Service, tmp_path: Path) -> None:
    assert run("sessions ada --end nothing", tmp_path, service.url)[:2] == (1, "ada has no session nothing\n")


@pytest.mark.parametrize(("line", "named"), WRONG_USE)
def test_2_where_an_argument_is_wrong_and_it_is_named(service: Service, tmp_path: Path, line: str, named: str) -> None:
    code, output, complaints = run(line, tmp_path, service.url)
    assert (code, output) == (2, "")
    assert named in complaints


COMPLETE = """
eval "$(streamlimit --show-completion bash)"
complete -p streamlimit >&2
while IFS= read -r line; do
    read -ra COMP_WORDS <<<"$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _streamlimit_completion streamlimit
    printf '%s\\n' "${COMPREPLY[*]}"
done
"""


def test_bash_completes_commands_options_and_values(tmp_path: Path) -> None:
    needs("bash")
    asked = {
        "streamlimit s": "serve sessions streams",
        "streamlimit keys ": "list new",
        "streamlimit sessions --forg": "--forgive --forgive-all",
        "streamlimit keys new --role ": "operate read service",
        "streamlimit demo --over": "--over-limit",
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-eu", "-c", COMPLETE],
        input="".join(f"{line}\n" for line in asked),
        env={"PATH": path, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.splitlines() == list(asked.values()), ended.stderr
    assert "_streamlimit_completion streamlimit" in ended.stderr, "it is taught to bash, not only printed"


def test_a_command_prints_ids_of_any_script_where_the_terminal_knows_only_ascii(
    service: Service, tmp_path: Path
) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    ascii_only = own | {"PYTHONIOENCODING": "ascii", "STREAMLIMIT_URL": service.url, "STREAMLIMIT_KEY": OPERATOR_KEY}
    command = [sys.executable, "-m", "streamlimit.cli"]
    for arguments in (["limit", "\N{CLAPPER BOARD}", "2"], ["limits"]):
        done = subprocess.run([*command, *arguments], cwd=tmp_path, env=ascii_only, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert "\\U0001f3ac" in done.stdout
