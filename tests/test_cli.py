"""The `streamlimit` command, run as its users run it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streamlimit import __version__
from streamlimit.cli import app
from tests import launcher
from tests.service import OPERATOR_KEY, SAMPLES, Service, started, stop, temporary_folder, wait_until
from tests.web.folders import content, make_streams, packed_size

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    """Its database and its settings are those that `_run` finds in *folder*."""
    streams = make_streams(folder / "streams")
    (folder / "streamlimit.toml").write_text("segment_seconds = 60\nsweep_seconds = 0\n")
    with started(folder, streams=str(streams)) as service:
        yield service


def _run(folder: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of the command on the database in *folder*."""
    variables = {f"STREAMLIMIT_{name.upper()}": value for name, value in settings.items()}
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    return launcher.run(arguments, folder, own | variables)


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_commands_of_the_contract_are_there() -> None:
    assert {"demo", "serve", "expire", "sessions", "streams", "check-config"} <= set(COMMANDS)
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(command in result.output for command in COMMANDS)


def test_an_unknown_command_or_flag_is_exit_code_2(tmp_path: Path) -> None:
    assert _run(tmp_path, "fly")[0] == 2
    assert _run(tmp_path, "serve", "--altitude", "3")[0] == 2


def test_the_version(tmp_path: Path) -> None:
    assert _run(tmp_path, "version") == (0, __version__ + "\n", "")


# Looking, and the sweep


def test_check_config_says_in_words_that_all_is_well(tmp_path: Path) -> None:
    code, out, err = _run(tmp_path, "check-config", streams=str(SAMPLES), operator_keys='["a-plain-key"]')
    assert (code, err) == (0, "")
    assert "settings are fine; the store answers; 4 streams" in out
    assert "this machine only" in out
    assert "1 given in plain" in out
    assert "a-plain-key" not in out


def test_streams_lists_them_and_says_what_is_wrong_with_others(tmp_path: Path) -> None:
    streams = make_streams(tmp_path / "streams")
    (streams / "broken").mkdir()
    (streams / "broken" / "index.m3u8").write_text("no playlist")
    code, out, err = _run(tmp_path, "streams", streams=str(streams))
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert {"tiny", "live", "packed", "orchard"} <= rows.keys()
    assert "broken" not in rows
    assert rows["tiny"].split() == ["tiny", "tiny", "3", "2", "no", "index.m3u8"]
    assert rows["live"].split()[4] == "yes"
    assert "broken: index.m3u8 does not begin with #EXTM3U" in err.splitlines()


def test_streams_and_check_config_say_what_viewers_would_miss(tmp_path: Path) -> None:
    movie = tmp_path / "streams" / "movie"
    movie.mkdir(parents=True)
    (movie / "index.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "0.ts").write_bytes(b"elsewhere")
    (movie / "0.ts").symlink_to(tmp_path / "0.ts")
    for command in ("streams", "check-config"):
        code, _, err = _run(tmp_path, command, streams=str(movie.parent))
        assert code == 0
        assert "movie: note: 0.ts, a segment of index.m3u8, is a link that leads out of the folder of streams" in err


def test_streams_without_a_folder_is_a_wrong_setting(tmp_path: Path) -> None:
    code, _, err = _run(tmp_path, "streams")
    assert code == 2
    assert err.startswith("streamlimit: streams: ")


def test_sessions_as_a_table_and_as_json(service: Service, folder: Path) -> None:
    long = "s" * 120
    service.segment("ann", "phone", "tiny", device={"id": "iPhone", "name": "Ann's"})
    service.segment("ann", long, "orchard", device="[/red]\x1b[2J\u202eTV [b]bold")
    service.post("/v1/sessions", {"user_id": "bob", "session_id": "tv", "stream_id": "tiny"})

    code, out, err = _run(folder, "sessions")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "\u202e" not in out
    lines = [line for line in out.splitlines() if line.strip().startswith(("ann", "bob"))]
    assert len(lines) == 3
    assert lines[0].split()[:5] == ["ann", "phone", "tiny", "active", "iPhone"]
    assert long in out, "a pipe is as wide as it needs to be"
    assert "[/red]" in out
    assert "never" in lines[2]

    code, out, err = _run(folder, "sessions", "--json")
    assert (code, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    assert [(s["user_id"], s["session_id"]) for s in told] == [("ann", "phone"), ("ann", long), ("bob", "tv")]
    assert told[:2] == service.watching("ann")["sessions"], "the very same document as over HTTP"

    code, out, _ = _run(folder, "sessions", "bob", "--json")
    assert [json.loads(line)["session_id"] for line in out.splitlines()] == ["tv"]
    assert _run(folder, "sessions", "nobody", "--json")[:2] == (0, "")


def test_sessions_end_terminates_one(service: Service, folder: Path) -> None:
    service.segment("eve", "phone", "tiny")
    service.segment("eve", "tv", "tiny")
    assert _run(folder, "sessions", "eve", "--end", "tv")[:2] == (0, "terminated tv\n")
    assert _run(folder, "sessions", "eve", "--end", "tv")[:2] == (1, "eve has no session tv\n")
    assert [s["session_id"] for s in service.watching("eve")["sessions"]] == ["phone"]
    refused = service.segment("eve", "tv", "tiny")
    assert (refused.status, refused.json["by"]) == (410, "operator")


def test_a_terminated_session_is_let_back_in(service: Service, folder: Path) -> None:
    for session in ("tv", "phone"):
        service.post("/v1/sessions", {"user_id": "amy", "session_id": session, "stream_id": "tiny"})
        service.call("DELETE", f"/v1/users/amy/sessions/{session}", key=OPERATOR_KEY)
    told = "1 of amy's terminated sessions may come back\n"
    assert _run(folder, "sessions", "amy", "--forgive", "tv")[:2] == (0, told)
    assert _run(folder, "sessions", "amy", "--forgive-all")[:2] == (0, told)
    assert _run(folder, "sessions", "amy", "--forgive-all")[:2] == (0, "amy has none that could not\n")
    assert service.segment("amy", "tv", "tiny").status == 200


def test_a_limit_given_shown_and_taken_away(service: Service, folder: Path) -> None:
    none = "zoe has no limit of their own; 3 unless a plan says otherwise\n"
    assert _run(folder, "limit", "zoe")[:2] == (0, none)
    given = _run(folder, "limit", "zoe", "1", "--until", "2099-01-31T18:00:00+01:00", "--note", "a ticket")
    assert given[:2] == (0, "zoe 1 until 2099-01-31T17:00:00.000Z (a ticket)\n")
    told = service.get("/v1/users/zoe/limit", key=OPERATOR_KEY).json
    assert (told["max_sessions"], told["until"], told["note"]) == (1, "2099-01-31T17:00:00.000Z", "a ticket")
    assert _run(folder, "limit", "zoe")[:2] == given[:2]
    assert _run(folder, "limit", "zoe", "5")[:2] == (0, "zoe 5\n")
    assert _run(folder, "limit", "zoe", "--remove")[:2] == (0, none)


def test_sessions_end_of_a_session_that_is_not_there_though_another_has_run_out(tmp_path: Path) -> None:
    with started(tmp_path, segment_seconds=0.1, sweep_seconds=0) as service:
        service.segment("eve", "phone", "orchard")
        wait_until(lambda: not service.watching("eve")["live_sessions"], 10, "its expiry")
        assert _run(tmp_path, "sessions", "eve", "--end", "tv")[:2] == (1, "eve has no session tv\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("sessions",),
        ("sessions", "ada"),
        ("sessions", "ada", "--end", "tv"),
        ("limit", "ada", "2"),
        ("callbacks",),
        ("callbacks", "--replay"),
        ("expire",),
    ],
)
@pytest.mark.parametrize("is_touched", [False, True])
def test_where_there_is_no_store_a_command_says_so_and_makes_none(
    tmp_path: Path, arguments: tuple[str, ...], is_touched: bool
) -> None:
    if is_touched:
        (tmp_path / "streamlimit.db").touch()
    before = [(each.name, each.stat().st_size) for each in tmp_path.iterdir()]
    code, out, err = _run(tmp_path, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("streamlimit: there is no store at streamlimit.db: ")
    assert [(each.name, each.stat().st_size) for each in tmp_path.iterdir()] == before


def test_check_config_tries_a_store_that_is_not_there_yet_and_leaves_nothing(tmp_path: Path) -> None:
    assert "the store answers" in _run(tmp_path, "check-config")[1]
    assert list(tmp_path.iterdir()) == []
    code, _, err = _run(tmp_path, "check-config", store="sqlite:///nowhere/streamlimit.db")
    assert (code, err.startswith("streamlimit: store: ")) == (2, True)


def test_a_port_that_is_taken_is_told_before_anything_is_made_or_promised(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        for command in ("serve", "demo"):
            code, out, err = _run(tmp_path, command, "--listen", listen)
            assert (code, out) == (2, ""), "no key that opens nothing"
            assert err == f"streamlimit: listen: cannot listen on {listen}: Address already in use\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("expire", "--max-seconds", "-1"), "--max-seconds"),
        (("expire", "--max-seconds", "0"), "--max-seconds"),
        (("expire", "--max-seconds", "nan"), "--max-seconds"),
        (("expire", "--max-seconds", "inf"), "--max-seconds"),
        (("sessions", "bad/user"), "USER"),
        (("sessions", ""), "USER"),
        (("sessions", "--forgive", "tv"), "--forgive"),
        (("sessions", "ada", "--forgive", "tv", "--forgive-all"), "--end, --forgive, --forgive-all"),
        (("limit", "bad/user"), "USER"),
        (("limit", "ada", "2", "--until", "2020-01-01T00:00:00Z"), "--until"),
        (("limit", "ada", "2", "--until", "some day"), "--until"),
        (("limit", "ada", "2", "--note", "x" * 201), "--note"),
        (("limit", "ada", "--note", "why"), "--until, --note"),
        (("limit", "ada", "2", "--remove"), "--remove"),
        (("sessions", "eve", "--end", "bad\nsession"), "--end"),
        (("sessions", "..", "--end", "tv"), "USER"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    code, out, err = _run(tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"streamlimit: {named}: ")


def test_sessions_end_needs_a_user(tmp_path: Path) -> None:
    code, _, err = _run(tmp_path, "sessions", "--end", "tv")
    assert code == 2
    assert err.startswith("streamlimit: --end: ")


def test_expire_prints_counts(tmp_path: Path) -> None:
    with started(tmp_path, segment_seconds=0.1, sweep_seconds=0) as service:
        for user in ("ann", "bob"):
            service.segment(user, "s", "orchard")
        service.post("/v1/sessions", {"user_id": "cy", "session_id": "s", "stream_id": "orchard"})
        wait_until(lambda: not any(service.watching(u)["live_sessions"] for u in ("ann", "bob", "cy")), 10, "expiry")
        assert _run(tmp_path, "expire")[:2] == (0, "expired 2, abandoned 1, webhooks pending 0\n")
        assert _run(tmp_path, "expire", "--max-seconds", "1")[:2] == (
            0,
            "expired 0, abandoned 0, webhooks pending 0\n",
        )


# Serving


@contextmanager
def _served(folder: Path, *arguments: str) -> Iterator[launcher.Process]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    with (folder / "log").open("ab") as log:
        process = launcher.start(["serve", "--streams", str(SAMPLES), *arguments], folder, own, log, log)
    try:
        yield process
    finally:
        stop(process)


def _ask_unix(path: Path) -> bytes:
    body = b'{"user_id": "u", "session_id": "s", "stream_id": "orchard"}'
    head = b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(head + body)
        while part := connection.recv(65_536):
            answer += part
    return answer


def _listens(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return True
    except OSError:
        return False


def test_a_unix_socket_is_served_and_a_stale_one_replaced(tmp_path: Path) -> None:
    path = tmp_path / "limit.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    for sequence in (b"0", b"1"):  # the second time over what the first one left behind
        assert path.is_socket()
        with _served(tmp_path, "--listen", str(path)):
            wait_until(lambda: _listens(path), 20, "the socket")
            answer = _ask_unix(path)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"streamlimit-sequence: " + sequence in answer
            code, _, err = _run(tmp_path, "serve", "--listen", str(path))
            assert code == 2, "one that is served is not taken away"
            assert err.startswith("streamlimit: listen: cannot listen on")
            assert _listens(path)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    code, _, err = _run(tmp_path, "serve", "--listen", "./precious")
    assert code == 2
    assert err.splitlines()[-1].startswith("streamlimit: listen: ")
    assert (tmp_path / "precious").read_text() == "data"


def test_two_workers_keep_one_limit(tmp_path: Path) -> None:
    with started(tmp_path, workers=2, segment_seconds=6) as service:
        statuses = [service.segment("u", f"s{number}", "orchard").status for number in range(12)]
        assert statuses == [200] * 3 + [409] * 9
        grant = service.post("/v1/sessions", {"user_id": "u", "session_id": "s0", "stream_id": "orchard"}).json["grant"]
        playlist = f"/play/{grant}/orchard/master.m3u8"
        assert {service.get(playlist).status for _ in range(12)} == {200}, "one key for all workers"
        assert service.post("/v1/expirations", key=OPERATOR_KEY).status == 200
    assert service.process.returncode is not None
    assert not _is_open(service.port), "no worker is left behind"


def test_it_says_where_it_listens_and_who_may_call(service: Service) -> None:
    log = service.log()
    assert f"streamlimit {__version__} on http://127.0.0.1:{service.port}" in log
    assert "security: open access for this machine only" in log


def test_demo_plays_the_samples_at_once_with_a_key_of_its_own(tmp_path: Path) -> None:
    with started(tmp_path, "demo", streams=None, operator_keys=None) as service:
        streams = service.get("/v1/streams").json["streams"]
        assert len(streams) == 4
        key = service.log().split("operator key (made for this run): ")[1].split()[0]
        assert service.post("/v1/expirations", key=key).status == 200
        session = service.post("/v1/sessions", {"user_id": "u", "stream_id": "orchard"}).json["session"]
        assert session["state"] == "starting"
        assert "/watch" in service.log()


def _slow_download(service: Service) -> socket.socket:
    """A connection on which a big file has begun to come; no buffer holds all of it."""
    told = service.post("/v1/sessions", {"user_id": "slow", "session_id": "s", "stream_id": "packed"}).json
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", service.port))
    connection.sendall(f"GET /play/{told['grant']}/packed/all.mp4 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


def test_sigterm_lets_a_running_download_finish(tmp_path: Path) -> None:
    streams = make_streams(tmp_path / "streams")
    with started(tmp_path, streams=str(streams), drain_seconds=15, segment_seconds=6) as service:
        with _slow_download(service) as connection:
            received = connection.recv(20_000)
            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not _is_open(service.port), 10, "the end of listening")
            while len(received) < packed_size() + received.index(b"\r\n\r\n") + 4:
                part = connection.recv(65_536)
                assert part, f"cut off after {len(received)} bytes"
                received += part
            assert received.endswith(content("all", packed_size())[-1_000:])
        assert service.process.wait(10) in (0, -signal.SIGTERM)
    told = json.loads(_run(tmp_path, "sessions", "slow", "--json", segment_seconds="600")[1])
    assert told["sequence"] == 3, "its receipt was counted"
    assert "Traceback" not in service.log()


def test_sigterm_waits_no_longer_than_drain_seconds(tmp_path: Path) -> None:
    streams = make_streams(tmp_path / "streams")
    settings: dict[str, Any] = {"drain_seconds": 1, "segment_seconds": 60}
    with started(tmp_path, streams=str(streams), **settings) as service, _slow_download(service) as connection:
        connection.recv(1)
        begun = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) in (0, -signal.SIGTERM)
        assert time.monotonic() - begun > 0.9
    assert _run(tmp_path, "sessions", "slow", "--json")[:2] == (0, ""), "what nobody received holds no seat"
    assert "Application shutdown complete" in service.log()
    assert "Traceback" not in service.log()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_module_and_the_script_are_the_same(tmp_path: Path) -> None:
    script: Any = Path(sys.executable).parent / "streamlimit"
    if not script.exists():
        pytest.skip("not installed as a script")
    assert subprocess.run([script, "version"], capture_output=True, check=True).stdout.decode().strip() == __version__
