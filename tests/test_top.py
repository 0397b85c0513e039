"""`streamlimit top` at a real terminal: it shows what is, keeps to the window, and leaves the terminal as it was."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.service import OPERATOR_KEY, Service, started, stop, temporary_folder
from tests.terminal import ALTERNATE, BACK, SHOWN_CURSOR, Terminal, terminal

TOP = [sys.executable, "-m", "streamlimit.cli", "top"]
CTRL_C = "\x03"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder, started(folder, segment_seconds=600, ledger_streams="any") as service:
        watch(service, "ada", "clock")
        yield service


def watch(service: Service, user: str, stream: str) -> None:
    assert service.post(f"/v1/users/{user}/sessions/tv/heartbeat", {"stream_id": stream}).status == 200


def environment(service: Service, **more: str) -> dict[str, str]:
    left_out = ("STREAMLIMIT_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return own | {"STREAMLIMIT_URL": service.url, "STREAMLIMIT_KEY": OPERATOR_KEY, "TERM": "xterm-256color"} | more


def top(
    service: Service, folder: Path, columns: int = 80, lines: int = 24, **more: str
) -> AbstractContextManager[Terminal]:
    return terminal(TOP, folder, environment(service, **more), columns, lines)


@pytest.mark.parametrize("key", ["q", CTRL_C], ids=["q", "ctrl-C"])
def test_it_shows_what_changes_and_leaves_the_terminal_as_it_was(service: Service, tmp_path: Path, key: str) -> None:
    user, stream = ("ben", "canal") if key == "q" else ("cleo", "harbour")
    with top(service, tmp_path) as screen:
        before = screen.modes()
        screen.shows(r"\d+ sessions \(.* active.*\) of \d+ users")
        screen.shows("clock +1")
        assert screen.written.count(ALTERNATE) == 1
        watch(service, user, stream)
        screen.shows(f"{stream} +1")
        screen.press("x")  # any other key: nothing but a look at once
        screen.press(key)
        assert screen.ended() == 0
        assert screen.modes() == before
        rest = screen.written.rpartition(BACK)
        assert (BACK in screen.written, rest[0].count(ALTERNATE), ALTERNATE in rest[2]) == (True, 1, False)
        assert SHOWN_CURSOR in screen.written[screen.written.rfind("\x1b[?25l") :]


def test_it_keeps_to_a_window_that_becomes_small_and_wide_again(service: Service, tmp_path: Path) -> None:
    with top(service, tmp_path, 100, 30) as screen:
        screen.shows("clock +1")
        assert len(screen.screen) == 30
        screen.resize(24, 6)
        screen.shows(r"\d+ sessions")
        wait_for_size(screen, 24, 6)
        screen.resize(200, 50)
        wait_for_size(screen, 200, 50)
        screen.shows("clock +1")
        screen.press("Q")
        assert screen.ended() == 0


def wait_for_size(screen: Terminal, columns: int, lines: int) -> None:
    screen.shows(rf"\A(?:[^\n]{{0,{columns}}}\n){{{lines - 1}}}[^\n]{{0,{columns}}}\Z")


def test_no_color_is_heeded_and_else_there_is_some(service: Service, tmp_path: Path) -> None:
    with top(service, tmp_path, NO_COLOR="1") as screen:
        screen.shows("clock +1")
        screen.press("q")
        assert screen.ended() == 0
        assert not screen.has_colours


def test_a_dumb_terminal_is_told_once_without_a_sequence(service: Service, tmp_path: Path) -> None:
    with top(service, tmp_path, TERM="dumb") as screen:
        assert screen.ended() == 0
        assert "sessions" in screen.written
        assert "shown once: this terminal cannot be drawn on" in screen.written
        assert "\x1b" not in screen.written


def test_a_pipe_is_told_once_and_why(service: Service, tmp_path: Path) -> None:
    ended = subprocess.run(TOP, cwd=tmp_path, env=environment(service), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "streamlimit: shown once: the output is no terminal\n")
    assert "sessions" in ended.stdout
    assert "\x1b" not in ended.stdout


def test_it_goes_on_through_a_restart_of_the_service(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"segment_seconds": 600, "ledger_streams": "any"}
    with started(tmp_path, **settings) as service:
        watch(service, "ada", "clock")
        with top(service, tmp_path) as screen:
            screen.shows("clock +1")
            stop(service.process)
            screen.shows("as it was before: .*no answer")
            screen.shows("clock +1")
            with started(tmp_path, listen=f"127.0.0.1:{service.port}", **settings):
                screen.shows(r"\A\d+ sessions")
                screen.press("q")
                assert screen.ended() == 0


def test_what_is_wrong_from_the_beginning_is_told_on_a_terminal_that_was_not_touched(
    service: Service, tmp_path: Path
) -> None:
    with top(service, tmp_path, STREAMLIMIT_KEY="no-such-key") as screen:
        before = screen.modes()
        assert screen.ended() == 1
        assert screen.modes() == before
        assert "401 unauthenticated" in screen.written
        assert ALTERNATE not in screen.written
