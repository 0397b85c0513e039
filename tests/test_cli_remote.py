"""Commands that look or change, on a running service by its URL: the same words as on the store of the settings."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamlimit.cli import app
from streamlimit.errors import SettingsError, StreamlimitError
from tests import launcher
from tests.answering import Quiet, serving
from tests.ports import free_port
from tests.service import OPERATOR_KEY, SAMPLES, Service, service_of_file

LOOK = ("sessions", "limits", "streams", "top", "events", "callbacks", "expire", "limit ada", "report")

service = service_of_file(segment_seconds=60, sweep_seconds=0)


def _environment(**variables: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    return own | variables


def run(folder: Path, line: str, service: Service | None = None, **variables: str) -> tuple[int, str, str]:
    """Exit code, output and complaints of a command, in a folder with nothing in it."""
    named = {"STREAMLIMIT_URL": service.url, "STREAMLIMIT_KEY": OPERATOR_KEY} if service else {}
    with chdir(folder):
        result = CliRunner().invoke(app, line.split(), env=named | variables)
    if isinstance(result.exception, StreamlimitError):
        return 2 if isinstance(result.exception, SettingsError) else 1, result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def watch(service: Service, user: str, session: str) -> None:
    path = f"/v1/users/{user}/sessions/{session}/heartbeat"
    assert service.post(path, {"stream_id": "orchard"}).status == 200


def test_sessions_are_shown_and_ended(service: Service, tmp_path: Path) -> None:
    watch(service, "ada%7Cx", "tv")
    code, out, err = run(tmp_path, "sessions ada|x --json", service)
    assert (code, err) == (0, "")
    assert json.loads(out)["session_id"] == "tv"
    assert " tv " in run(tmp_path, "sessions", service)[1]
    assert run(tmp_path, "sessions ada|x --end tv", service)[:2] == (0, "terminated tv\n")
    assert run(tmp_path, "sessions ada|x --end tv", service)[:2] == (1, "ada|x has no session tv\n")
    assert run(tmp_path, "sessions ada|x --forgive tv", service)[0] == 0
    watch(service, "ada%7Cx", "tv")
    assert list(tmp_path.iterdir()) == []


def test_a_limit_is_given_shown_listed_and_taken_away(service: Service, tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, "limit bob 5 --until tomorrow --note holidays", service)
    assert code == 0
    assert re.fullmatch(r"bob 5 until \S+Z \(holidays\)\n", out)
    code, out, _ = run(tmp_path, "limits --json", service)
    assert [each["note"] for each in map(json.loads, out.splitlines())] == ["holidays"]
    assert " holidays" in run(tmp_path, "limits", service)[1]
    code, out, _ = run(tmp_path, "limit bob --remove", service)
    assert (code, out) == (0, "bob has no limit of their own; 3 unless a plan says otherwise\n")


def test_streams_top_expire_and_callbacks(service: Service, tmp_path: Path) -> None:
    watch(service, "eve", "tv")
    assert "orchard" in run(tmp_path, "streams", service)[1]
    assert "sessions" in run(tmp_path, "top", service)[1]
    assert run(tmp_path, "expire", service)[:2] == (0, "expired 0, abandoned 0, webhooks pending 0\n")
    assert "waiting" in run(tmp_path, "callbacks", service)[1]
    assert run(tmp_path, "callbacks --replay", service)[0] == 2


def test_the_flags_go_before_the_variables(service: Service, tmp_path: Path) -> None:
    line = f"streams --url {service.url} --key {OPERATOR_KEY}"
    code, out, _ = run(tmp_path, line, STREAMLIMIT_URL="http://127.0.0.1:9", STREAMLIMIT_KEY="another")
    assert (code, "orchard" in out) == (0, True)


@contextmanager
def following(folder: Path, service: Service | None, line: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    named = {"STREAMLIMIT_URL": service.url, "STREAMLIMIT_KEY": OPERATOR_KEY} if service else {}
    command = [sys.executable, "-m", "streamlimit.cli", *line.split()]
    process = subprocess.Popen(
        command, cwd=folder, env=_environment(**(named | variables)), stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def happen_until_told(service: Service, user: str, process: "subprocess.Popen[str]") -> str:
    """Sessions begin and end until the follower, who may not have been there yet, prints one."""
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.append(process.stdout.readline() if process.stdout else ""))
    reader.start()
    for number in range(2_000):
        watch(service, user, f"s{number}")
        service.call("DELETE", f"/v1/users/{user}/sessions/s{number}")
        reader.join(0.05)
        if told:
            return told[0]
    raise AssertionError("nothing was told")


@pytest.mark.parametrize("where", ["service", "store"])
def test_events_are_printed_as_they_happen_and_ctrl_c_is_no_failure(
    service: Service, tmp_path: Path, where: str
) -> None:
    store = f"sqlite:///{service.log_path.parent}/streamlimit.db"
    variables = {"STREAMLIMIT_STORE": store} if where == "store" else {}
    user = f"fay-{where}"
    with following(tmp_path, service if where == "service" else None, f"events --user {user}", **variables) as process:
        line = happen_until_told(service, user, process)
        assert re.match(rf"\d{{4}}-\S+Z (started|ended) user={user} session=s\d+ stream=orchard", line)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


class Strange(Quiet):
    """A server that is none of ours."""

    kind, body = "text/html", b"<h1>hello</h1>"

    def _any(self) -> None:
        self.reply(200, self.body, {"Content-Type": self.kind})

    do_GET = do_POST = do_PUT = do_DELETE = _any


@contextmanager
def strange(kind: str, body: bytes, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    handler = type("Handler", (Strange,), {"kind": kind, "body": body})
    with serving(handler, tls) as port:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"


def assert_told(command: str, kind: type[StreamlimitError], words: str, **variables: str) -> None:
    """The command ends by an error that `main` tells in one line, without the key, and prints nothing else."""
    result = CliRunner().invoke(app, command.split(), env={"STREAMLIMIT_KEY": "a-secret"} | variables)
    told = str(result.exception)
    assert type(result.exception) is kind, (result.output, result.exc_info)
    assert re.search(words, told), told
    assert len(told.splitlines()) == 1
    assert "a-secret" not in told
    assert result.output == ""


@pytest.mark.parametrize("command", LOOK)
def test_a_service_that_is_not_there_is_one_plain_line(command: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert_told(command, StreamlimitError, f"{re.escape(url)}: no answer: .*refused", STREAMLIMIT_URL=url)


@pytest.mark.parametrize("command", LOOK)
def test_a_wrong_key_is_one_plain_line(service: Service, command: str) -> None:
    assert_told(command, StreamlimitError, "401 unauthenticated: ", STREAMLIMIT_URL=service.url)


@pytest.mark.parametrize("command", LOOK)
@pytest.mark.parametrize(
    ("kind", "body"), [("text/html", b"<h1>hello</h1>"), ("application/json", b"[]"), ("application/json", b"{")]
)
def test_what_is_no_answer_of_ours_is_one_plain_line(command: str, kind: str, body: bytes) -> None:
    with strange(kind, body) as url:
        assert_told(command, StreamlimitError, "no answer of streamlimit", STREAMLIMIT_URL=url)


def test_a_certificate_that_nobody_signed_is_one_plain_line(tmp_path: Path) -> None:
    from tests.store.secured import Authority

    authority = Authority(tmp_path)
    authority.sign("localhost", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "localhost.pem", tmp_path / "localhost.key")
    with strange("text/html", b"", context) as url:
        assert_told("sessions", StreamlimitError, "no answer: .*certificate", STREAMLIMIT_URL=url)


def test_a_proxy_of_the_environment_is_not_told_the_key(service: Service, tmp_path: Path) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    variables = {"HTTP_PROXY": proxy, "http_proxy": proxy, "ALL_PROXY": "socks5://nowhere:1", "NO_PROXY": ""}
    assert run(tmp_path, "streams", service, **variables)[0] == 0


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:8080", "--url"),
        ("ftp://127.0.0.1", "--url"),
        ("http://ada:a-secret@127.0.0.1:1", "--url: holds a name or password"),
        ("http://[::1", "--url"),
    ],
)
def test_what_is_no_address_is_a_wrong_use(url: str, words: str) -> None:
    assert_told("sessions", SettingsError, words, STREAMLIMIT_URL=url)


def test_an_error_is_told_on_standard_error_with_its_exit_code(tmp_path: Path) -> None:
    for url, code in (("ftp://x", 2), (f"http://127.0.0.1:{free_port()}", 1)):
        ended, out, err = launcher.run(["top"], tmp_path, _environment(STREAMLIMIT_URL=url))
        assert (ended, out, len(err.splitlines())) == (code, "", 1)


@pytest.mark.parametrize("command", [each for each in LOOK if each != "streams"])
def test_without_a_url_and_a_store_it_says_so_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_told(command, StreamlimitError, "there is no store at streamlimit.db")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_of_settings_hinders_no_command_with_a_url(service: Service, tmp_path: Path) -> None:
    (tmp_path / "streamlimit.toml").write_text("max_sessions = 'many'\n")
    assert run(tmp_path, "streams")[0] == 2
    assert run(tmp_path, "streams", service)[0] == 0


def test_config_init_writes_the_commented_file_once(tmp_path: Path) -> None:
    assert run(tmp_path, "config init")[0] == 0
    written = tmp_path / "streamlimit.toml"
    assert written.read_text() == (SAMPLES.parent.parent.parent / "deploy/streamlimit.toml").read_text()
    assert written.stat().st_mode & 0o077 == 0
    assert run(tmp_path, f"check-config --streams {SAMPLES}")[0] == 0
    written.write_text("max_sessions = 2\n")
    assert run(tmp_path, "config init")[0] == 1
    assert written.read_text() == "max_sessions = 2\n"


def test_keys_are_listed_without_the_keys(tmp_path: Path) -> None:
    keys = {"STREAMLIMIT_OPERATOR_KEYS": '["a-secret-of-ours"]', "STREAMLIMIT_SERVICE_KEYS": '["a-secret-of-theirs"]'}
    code, out, _ = run(tmp_path, "keys list", **keys)
    assert (code, "a-secret" in out) == (0, False)
    assert "operate" in out
    assert "service" in out


def test_a_test_event_says_what_came_back(tmp_path: Path) -> None:
    with strange("text/plain", b"") as url:
        endpoints = [
            {"url": url, "secret": "whsec_c2VjcmV0IGVub3VnaA==", "name": "good"},
            {"url": f"http://127.0.0.1:{free_port()}", "secret": "whsec_c2VjcmV0IGVub3VnaA==", "name": "bad"},
        ]
        variables = {"STREAMLIMIT_CALLBACKS": json.dumps(endpoints), "STREAMLIMIT_ALLOW_PRIVATE_CALLBACKS": "true"}
        code, out, _ = run(tmp_path, "callbacks --test", **variables)
    assert (code, out) == (1, "good: took the test event (2xx)\nbad: failed: no connection\n")
    assert list(tmp_path.iterdir()) == []


def test_the_settings_of_the_machine_are_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamlimit.settings import load_settings, sources

    system = tmp_path / "etc.toml"
    system.write_text("max_sessions = 7\n")
    monkeypatch.setattr(sources, "SYSTEM_FILE", system)
    monkeypatch.delenv("STREAMLIMIT_CONFIG", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    found = load_settings()
    assert (found.max_sessions, found.file) == (7, system)
    (here / "streamlimit.toml").write_text("max_sessions = 2\n")
    assert load_settings().max_sessions == 2
