"""`streamlimit bench`, run as its users run it: against a real service, an impostor, and nobody."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streamlimit.cli import app
from tests.bench.impostor import pretending
from tests.ports import free_port
from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until

SERVICE_KEY = "service-key-of-the-tests"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """X is half a second; access only with a key."""
    with temporary_folder() as folder:
        secret = folder / "secret"
        secret.write_text("s" * 32)
        jwt = {"secret_file": str(secret)}
        settings: dict[str, Any] = {"auth": "jwt", "jwt": jwt, "service_keys": [SERVICE_KEY]}
        with started(folder, segment_seconds=0.5, **settings) as service:
            yield service


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "streamlimit", "bench", *arguments]


def _run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, standard output and error, without a process of its own: starting one takes longer than some runs."""
    result = CliRunner().invoke(app, ["bench", *arguments], env=variables)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def _sessions(service: Service) -> list[Any]:
    """Of all users."""
    found: list[Any] = service.get("/v1/sessions", key=OPERATOR_KEY).json["sessions"]
    return found


# A real service


def test_all_that_viewers_do_leaves_the_limit_kept_and_nothing_behind(service: Service) -> None:
    arguments = ("--users", "20", "--seconds", "5", "--seed", "1", "--key", SERVICE_KEY, "--json")
    ended = subprocess.run(_command(service.url, *arguments), capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    told = json.loads(ended.stdout)
    assert SERVICE_KEY not in ended.stdout.decode()
    assert told["limit_kept"] is True
    assert told["most_at_once"] == told["limit"] == 3
    assert told["verdict"].startswith("limit kept: at most 3 of 3 at once (")
    assert told["broken"] == []
    assert told["pace_seconds"] == 0.5
    assert min(told["viewers"][what] for what in ("came_in", "zapped", "hung_up", "left", "fell_silent")) > 0
    assert told["viewers"]["refused_at_the_limit"] > 0
    assert told["viewers"]["refused_without_saying_who_sits"] == 0
    assert told["answers"]["409 session-limit"] >= told["viewers"]["refused_at_the_limit"]
    assert {"segment", "heartbeat", "join", "playlist", "look"} <= told["calls"].keys()
    assert 0 < told["calls"]["segment"]["p50_ms"] <= told["calls"]["segment"]["max_ms"]
    assert told["bytes"] > 100_000
    assert told["left"] == 0
    assert _sessions(service) == []


def test_people_are_told_in_tables_and_a_sentence(service: Service) -> None:
    code, out, err = _run(service.url, "--users", "4", "--seconds", "1.5", BENCH_KEY=SERVICE_KEY)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("4 users with ")
    assert "p99.9 ms" in out
    assert "refused at the limit" in out
    assert out.splitlines()[-1].startswith("limit kept: at most ")


def test_ctrl_c_ends_the_run_and_all_its_sessions(service: Service) -> None:
    """An operator's key: its DELETE terminates, and that is an end, too."""
    command = _command(service.url, "--seconds", "60", "--users", "5", "--json", "--key", OPERATOR_KEY)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        wait_until(lambda: len(_sessions(service)) >= 3, 20, "viewers")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    told = json.loads(out)
    assert told["seconds"] < 30
    assert (told["left"], _sessions(service)) == (0, [])


def test_a_service_without_streams_gets_heartbeats_only(tmp_path: Path) -> None:
    with started(tmp_path, streams=None, segment_seconds=0.5, max_sessions=1) as service:
        code, out, _ = _run(service.url, "--users", "3", "--seconds", "2", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["limit"] == told["most_at_once"] == 1
    assert told["calls"].keys() <= {"heartbeat", "look", "end"}
    assert told["viewers"]["refused_at_the_limit"] > 0


# A service that sells too much


@pytest.mark.parametrize("lies", [False, True], ids=["and tells", "and lists only three"])
def test_a_service_that_admits_everyone_is_caught(lies: bool) -> None:
    with pretending(lies) as url:
        code, out, _ = _run(url, "--users", "2", "--seconds", "2", "--seed", "1", "--json")
    told = json.loads(out)
    assert code == 1
    assert told["limit_kept"] is False
    breach = told["broken"][0]
    assert breach["user_id"].startswith("bench-")
    assert breach["at_once"] == 4
    assert len(breach["sessions"]) == 4
    assert lies is False or breach["seen"] == "delivered"
    assert told["verdict"].startswith(f"LIMIT BROKEN: user {breach['user_id']} had 4 of 3 at once ")


def test_a_dry_run_is_not_taken_for_a_limit(tmp_path: Path) -> None:
    with started(tmp_path, segment_seconds=0.5, enforce=False) as service:
        code, out, _ = _run(service.url, "--users", "2", "--seconds", "2")
    assert code == 1
    assert out.splitlines()[-1].startswith("not checked: the service is in a dry run (enforce = false)")


# What stops it


def test_nobody_there_is_exit_code_2_and_a_sentence() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    code, out, err = _run(url)
    assert (code, out) == (2, "")
    assert err.startswith(f"streamlimit: {url} cannot be reached; is it running? (")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "key", "words"),
    [
        ("", (), "wants a credential, or another one"),
        ("", ("--key", "wrong-key-0123456789"), "wants a credential, or another one"),
        ("/watch", ("--key", SERVICE_KEY), "has no API of streamlimit"),
    ],
)
def test_what_is_missing_is_said_in_words(service: Service, path: str, key: tuple[str, ...], words: str) -> None:
    code, out, err = _run(service.url + path, *key)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert "0123456789" not in err


@pytest.mark.parametrize(
    "arguments",
    [["127.0.0.1:8080"], ["http://"], ["http://user:secret@host"], ["http://h", "--users", "0"], ["http://h:x"], []],
)
def test_wrong_arguments_are_exit_code_2(arguments: list[str]) -> None:
    code, out, err = _run(*arguments)
    assert (code, out) == (2, "")
    assert "secret" not in err
