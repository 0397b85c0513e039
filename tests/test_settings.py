"""Where settings come from, which of them win, and that a wrong one stops the start with its name and the reason."""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlimit import cli
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings, load_settings, notes_on_variables, unknown_variables
from tests import launcher
from tests.ports import free_port

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but a test's own."""
    for name in os.environ:
        if name.startswith("STREAMLIMIT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The console script within this process: exit code, standard output, standard error."""
    monkeypatch.setattr(cli, "configure_logs", lambda: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["streamlimit", *arguments])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def _toml(text: str, path: str = "streamlimit.toml") -> None:
    Path(path).write_text(text)


# Where they come from


def test_without_any_the_defaults_are_those_of_the_contract() -> None:
    settings = load_settings()
    expected: dict[str, Any] = {
        "listen": "127.0.0.1:8080", "workers": 1, "streams": None, "store": "sqlite:///streamlimit.db",
        "max_sessions": 3, "segment_seconds": 6, "missed_segments": 3, "start_seconds": None, "buffer_seconds": 0,
        "max_returns": 2, "over_limit": "refuse", "reclaim_device": "silent", "on_store_outage": "keep-known",
        "outage_seconds": 0,
        "grant_keys": [], "grant_seconds": 86_400, "sweep_seconds": None, "auth": "open", "operator_keys": [],
        "callbacks": [], "allow_private_callbacks": False,
    }  # fmt: skip
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings.sweep_every_seconds == 6
    assert settings.policy().start_ms == 6_000


@pytest.mark.parametrize(
    ("given", "meant"),
    [("true", "silent"), ("false", "never"), ('"silent"', "silent"), ('"always"', "always"), ('"never"', "never")],
)
def test_a_device_takes_over_as_said_in_words_or_by_the_old_yes_and_no(
    given: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _toml(f"reclaim_device = {given}\n")
    assert load_settings().policy().reclaim_device == meant
    monkeypatch.setenv("STREAMLIMIT_RECLAIM_DEVICE", given.strip('"'))
    assert load_settings().policy().reclaim_device == meant


def test_flags_win_over_variables_and_these_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    _toml("max_sessions = 5\nsegment_seconds = 5\nmissed_segments = 5\n")
    monkeypatch.setenv("STREAMLIMIT_MAX_SESSIONS", "4")
    monkeypatch.setenv("STREAMLIMIT_SEGMENT_SECONDS", "4")

    settings = load_settings(max_sessions="2")

    assert (settings.max_sessions, settings.segment_seconds, settings.missed_segments) == (2, 4, 5)


def test_the_same_through_the_command(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("by-file", "by-variable", "by-flag"):
        folder = Path(place) / place
        folder.mkdir(parents=True)
        (folder / "a.ts").write_bytes(b"x")
        (folder / "i.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n")
    _toml('streams = "by-file"\n')
    assert "by-file" in command("streams")[1]
    monkeypatch.setenv("STREAMLIMIT_STREAMS", "by-variable")
    assert "by-variable" in command("streams")[1]
    assert "by-flag" in command("streams", "--streams", "by-flag")[1]


def test_the_file_may_lie_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _toml("max_sessions = 9\n", str(tmp_path / "other.toml"))
    monkeypatch.setenv("STREAMLIMIT_CONFIG", str(tmp_path / "other.toml"))
    assert load_settings().max_sessions == 9


def test_lists_are_json_in_variables_and_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLIMIT_OPERATOR_KEYS", '["first-key-1", "second-key-2"]')
    monkeypatch.setenv("STREAMLIMIT_CALLBACKS", '[{"url": "https://x/", "secret": "whsec_YQ=="}]')
    settings = load_settings()
    assert [key.get_secret_value() for key in settings.operator_keys] == ["first-key-1", "second-key-2"]
    assert settings.callbacks[0].url == "https://x/"


def test_lists_are_lists_in_the_file() -> None:
    _toml('cors_origins = ["https://a", "https://b"]\n[[callbacks]]\nurl = "https://x/"\nsecret = "whsec_YQ=="\n')
    settings = load_settings()
    assert settings.cors_origins == ["https://a", "https://b"]
    assert len(settings.callbacks) == 1


def test_an_unknown_variable_is_noted_and_does_no_harm(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLIMIT_PORT_8080_TCP", "tcp://10.0.0.1:8080")  # as Kubernetes makes them
    code, out, err = command("check-config")
    assert (code, err) == (0, "note: STREAMLIMIT_PORT_8080_TCP is no setting\n")
    assert "settings are fine" in out
    assert unknown_variables() == ["STREAMLIMIT_PORT_8080_TCP"]


@pytest.mark.parametrize(
    ("text", "name", "meant"),
    [
        ("max_session = 3", "max_session", "max_sessions"),
        ("max-sessions = 3", "max-sessions", "max_sessions"),
        ("Segment_Seconds = 3", "Segment_Seconds", "segment_seconds"),
        ("on_store_outtage = 'keep-known'", "on_store_outtage", "on_store_outage"),
        ("[jwt]\nisuer = 'x'", "jwt.isuer", "issuer"),
        ("[[callbacks]]\nurl = 'https://x/'\nsecret = 'whsec_YQ=='\ntype = []", "callbacks.0.type", "types"),
    ],
)
def test_a_name_that_is_mistyped_is_told_with_the_one_that_was_meant(text: str, name: str, meant: str) -> None:
    _toml(text)
    with pytest.raises(SettingsError) as wrong:
        load_settings()
    told = {each.name: str(each) for each in (wrong.value, *wrong.value.others) if isinstance(each, SettingsError)}
    assert told[name] == f"{name}: there is no such setting; did you mean {meant}?"


def test_a_name_like_none_is_told_without_a_guess() -> None:
    _toml("colour = 'red'")
    with pytest.raises(SettingsError, match=r"^colour: there is no such setting$"):
        load_settings()


def test_a_mistyped_variable_is_noted_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLIMIT_MAX_SESSION", "2")
    note = "STREAMLIMIT_MAX_SESSION is no setting; did you mean STREAMLIMIT_MAX_SESSIONS?"
    assert notes_on_variables() == [note]


# What stops the start

HASH = "sha256:" + "0" * 64
WRONG: list[tuple[str, str, str]] = [
    ("listen", "8080", "host:port"),
    ("listen", "", "host:port"),
    ("listen", "127.0.0.1:99999", "65535"),
    ("listen", "127.0.0.1:http", "host:port"),
    ("listen", "::1:8080", "host:port"),
    ("workers", "0", "greater than or equal to 1"),
    ("workers", "two", "integer"),
    ("workers", "1.5", "integer"),
    ("max_sessions", "0", "greater than or equal to 1"),
    ("max_sessions", "65", "less than or equal to 64"),
    ("max_sessions", "-1", "greater"),
    ("max_sessions", "", "integer"),
    ("segment_seconds", "0", "greater than 0"),
    ("segment_seconds", "-6", "greater than 0"),
    ("segment_seconds", "nan", "less than"),
    ("segment_seconds", "inf", "less than"),
    ("segment_seconds", "six", "number"),
    ("missed_segments", "0", "greater"),
    ("missed_segments", "2.5", "integer"),
    ("start_seconds", "0", "greater than 0"),
    ("buffer_seconds", "-1", "greater"),
    ("max_returns", "-1", "greater"),
    ("over_limit", "replace", "'refuse', 'replace-idle' or 'replace-oldest'"),
    ("reclaim_device", "perhaps", "'silent', 'always' or 'never'"),
    ("on_store_outage", "panic", "'keep-known', 'admit-all' or 'refuse-all'"),
    ("outage_seconds", "-1", "greater"),
    ("store", "streamlimit.db", "sqlite:///"),
    ("store", "mysql://x", "sqlite:///"),
    ("store", "sqlite:///", "sqlite:///"),
    ("store", "", "sqlite:///"),
    ("streams", "/no/such/folder", "/no/such/folder"),
    ("streams", "", "no folder"),
    ("grant_keys", '["short"]', "8"),
    ("grant_keys", "a-key-without-brackets", "JSON"),
    ("grant_keys", '{"a": "b"}', "list"),
    ("grant_seconds", "0", "greater"),
    ("sweep_seconds", "-1", "greater"),
    ("auth", "none", "'open'"),
    ("allow_open", "perhaps", "boolean"),
    ("operator_keys", '[""]', "empty"),
    ("operator_keys", '["sha256:xyz"]', "64"),
    ("operator_keys", f'["{HASH.upper()}x", "sha256:{"A" * 64}"]', "64"),
    ("operator_keys", "[1]", "string"),
    ("operator_keys", '[{"name": "anna", "role": "operate"}]', "required"),
    ("operator_keys", f'[{{"name": "anna", "role": "root", "hash": "{HASH}"}}]', "'operate' or 'read'"),
    ("operator_keys", f'[{{"nam": "anna", "hash": "{HASH}"}}]', "did you mean name?"),
    ("operator_keys", '[{"name": "anna", "hash": "a-plain-key"}]', "keys new --name"),
    ("operator_keys", f'[{{"name": "viewer", "hash": "{HASH}"}}]', "viewers themselves"),
    ("operator_keys", f'[{{"name": "an\\u202ena", "hash": "{HASH}"}}]', "formatting"),
    ("operator_keys", f'[{{"name": " anna", "hash": "{HASH}"}}]', "spaces around"),
    ("operator_keys", f'[{{"name": "", "hash": "{HASH}"}}]', "at least 1"),
    ("operator_keys", f'[{{"name": "{"a" * 61}", "hash": "{HASH}"}}]', "at most 60"),
    ("operator_keys", f'[{{"name": "anna", "hash": "{HASH}"}}, "{HASH}"]', "twice"),
    ("callbacks", '[{"url": "ftp://x", "secret": "s"}]', "pattern"),
    ("callbacks", '[{"url": "https://x:99999/", "secret": "s"}]', "0-65535"),
    ("callbacks", '[{"secret": "s"}]', "required"),
    ("callbacks", '[{"url": "https://x", "secret": "s", "types": ["session.born"]}]', "session.started"),
    ("callbacks", '[{"url": "https://x", "secret": "s", "colour": "red"}]', "no such setting"),
    ("callbacks", "[", "JSON"),
    ("outbox_max_events", "0", "greater"),
    ("drain_seconds", "-1", "greater"),
]


@pytest.mark.parametrize(
    ("place", "reason"), [("x:65536", "0-65535"), ("x:0", "no port 0"), ("x:http", "ort"), ("[::1", "IPv6")]
)
def test_a_call_back_goes_to_a_port_that_there_may_be(place: str, reason: str) -> None:
    hook = {"url": f"https://{place}/", "secret": "s"}
    with pytest.raises(SettingsError, match=rf"callbacks\.0\.url: .*{reason}"):
        load_settings(callbacks=[hook])
    assert load_settings(callbacks=[hook | {"url": "https://x:65535/"}]).callbacks


@pytest.mark.parametrize(("name", "value", "reason"), WRONG)
@pytest.mark.parametrize("given", ["variable", "flag"])
def test_a_wrong_setting_stops_the_start_with_its_name_and_the_reason(
    command: Command, monkeypatch: pytest.MonkeyPatch, given: str, name: str, value: str, reason: str
) -> None:
    if given == "variable":
        monkeypatch.setenv(f"STREAMLIMIT_{name.upper()}", value)
        code, out, err = command("serve")
    else:
        code, out, err = command("serve", f"--{name.replace('_', '-')}={value}")
    assert code == 2
    assert err.startswith(f"streamlimit: {name}")
    assert reason in err
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("max_sesions = 4\n", "max_sesions", "no such setting"),
        ("max_sessions = 'many'\n", "max_sessions", "integer"),
        ("[rules]\nmax_sessions = 4\n", "rules", "no such setting"),
        ("max_sessions = \n", "streamlimit.toml", "cannot be read"),
        ("max_sessions = 1\nmax_sessions = 2\n", "streamlimit.toml", "cannot be read"),
        ("listen = 8080\n", "listen", "string"),
        ("operator_keys = 'one-key-only'\n", "operator_keys", "list"),
        ("[[callbacks]]\nurl = 'https://x/'\n", "callbacks.0.secret", "required"),
    ],
)
def test_a_wrong_file_stops_the_start(command: Command, text: str, name: str, reason: str) -> None:
    _toml(text)
    code, _, err = command("serve")
    assert code == 2
    assert err.startswith(f"streamlimit: {name}: ")
    assert reason in err


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("max_sessions = true\n", "max_sessions: true is no value of it"),
        ("buffer_seconds = false\n", "buffer_seconds: false is no value of it"),
        ("plans = {basic = true}\n", "plans.basic: true is no value of it"),
        ("segment_seconds = 86_400\nmissed_segments = 46\n", "missed_segments: .* at most 45 days"),
        ("segment_seconds = 1_500_000\n", "missed_segments: .* at most 45 days"),
        ("start_seconds = 3_888_001\n", "start_seconds: .* 3888000"),
    ],
)
def test_no_number_is_a_boolean_and_no_seat_lasts_for_ever(text: str, wrong: str) -> None:
    _toml(text)
    with pytest.raises(SettingsError, match=wrong):
        load_settings()
    _toml("segment_seconds = 86_400\nmissed_segments = 45\nenforce = false\nreclaim_device = true\n")
    assert load_settings().policy().expiry_ms == 45 * 86_400_000


def test_a_file_that_was_named_and_is_not_there_stops_the_start(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLIMIT_CONFIG", "missing.toml")
    code, _, err = command("serve")
    assert code == 2
    assert "missing.toml" in err


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "example.org:80", "127.evil.com:80"])
def test_open_access_beyond_this_machine_must_be_meant(command: Command, listen: str) -> None:
    for start in ("serve", "demo", "check-config"):
        code, _, err = command(start, "--listen", listen)
        assert code == 2
        assert err.startswith("streamlimit: auth: ")
        assert "allow_open" in err
    assert load_settings(listen=listen, allow_open="true").allow_open


@pytest.mark.parametrize("listen", ["127.0.0.1:80", "localhost:80", "[::1]:80", "127.1.2.3:0", "/run/x.sock", "./x"])
def test_on_this_machine_open_access_is_the_default(listen: str) -> None:
    assert load_settings(listen=listen).is_loopback


@pytest.mark.parametrize("store", ["sqlite:///missing/folder/x.db", "sqlite:////proc/no/x.db", "sqlite:///."])
def test_a_store_that_cannot_be_opened_stops_the_start(command: Command, store: str) -> None:
    for start in ("serve", "expire", "sessions", "check-config"):
        code, _, err = command(start, "--store", store, "--listen", "127.0.0.1:0")
        assert code == 2
        assert err.startswith("streamlimit: store: ")


@pytest.mark.parametrize("start", ["serve", "demo"])
def test_a_port_in_use_stops_the_start(tmp_path: Path, start: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = launcher.run([start, "--listen", listen], tmp_path)
    assert code == 2
    assert f"streamlimit: listen: cannot listen on {listen}" in err


@pytest.mark.parametrize("listen", ["no.such.host.invalid:80", "203.0.113.7:80", "/no/such/folder/x.sock"])
def test_an_address_that_is_not_ours_stops_the_start(tmp_path: Path, listen: str) -> None:
    code, _, err = launcher.run(["serve", "--allow-open", "true", "--listen", listen], tmp_path)
    assert code == 2
    assert f"streamlimit: listen: cannot listen on {listen}" in err


# All that is wrong, at once


def _complaints(err: str) -> list[str]:
    """The names of the settings, each with its reason on a line of its own."""
    return [line.removeprefix("streamlimit: ").partition(": ")[0] for line in err.splitlines()]


def test_check_config_tells_all_that_is_wrong_wherever_it_stands(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _toml("max_sesions = 4\nlisten = '8080'\n[[callbacks]]\nurl = 'ftp://x'\n")
    monkeypatch.setenv("STREAMLIMIT_GRANT_KEYS", "no-json")
    monkeypatch.setenv("STREAMLIMIT_CORS_ORIGINS", "[")
    code, out, err = command("check-config", "--max-sessions=0", "--store=mysql://x", "--service-keys=no-json")
    wrong = ["listen", "store", "max_sessions", "grant_keys", "service_keys", "cors_origins"]
    assert _complaints(err) == [*wrong, "callbacks.0.url", "callbacks.0.secret", "max_sesions"]
    assert (code, out, err.count("JSON")) == (2, "", 3)


def test_check_config_tells_what_settings_say_of_one_another_beside_what_is_wrong_with_one(command: Command) -> None:
    keys = ["--service-keys", '["the-same-key"]', "--operator-read-keys", '["the-same-key"]']
    code, _, err = command("check-config", "--workers=0", "--listen=0.0.0.0:80", *keys)
    assert (code, _complaints(err)) == (2, ["workers", "auth", "operator_read_keys"])


def test_what_only_follows_from_a_wrong_setting_is_not_told(command: Command) -> None:
    for flags, name in [
        (["--listen=0.0.0.0:99999"], "listen"),
        (["--listen=0.0.0.0:80", "--allow-open=perhaps"], "allow_open"),
        (["--auth=jwt", '--jwt={"jwks_url": "http://x/"}'], "jwt.jwks_url"),
        (["--auth=jot"], "auth"),
    ]:
        assert _complaints(command("check-config", *flags)[2]) == [name]


def test_check_config_tries_each_thing_whatever_is_wrong_with_the_others(command: Command, tmp_path: Path) -> None:
    secret = "whsec_YQ=="
    hooks = [{"url": f"http://{host}/", "secret": secret} for host in ("127.0.0.1", "example.org", "10.0.0.1")]
    provider = f'{{"jwks_url": "http://127.0.0.1:{free_port()}/"}}'
    flags = ["--callbacks", json.dumps(hooks), "--auth=jwt", "--jwt", provider]
    code, out, err = command("check-config", f"--store=sqlite:///{tmp_path}/no/db", *flags)
    assert (code, out) == (2, "")
    assert _complaints(err) == ["callbacks.0.url", "callbacks.2.url", "store", "jwt.jwks_url"]
    assert command("check-config", "--auth=jwt", "--jwt", provider)[0] == 1, "it may answer yet"


def test_a_wrong_setting_does_not_show_a_secret(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLIMIT_GRANT_KEYS", '["hush"]')
    monkeypatch.setenv("STREAMLIMIT_OPERATOR_KEYS", '["psst"]')
    _, out, err = command("serve")
    assert "hush" not in out + err
    monkeypatch.setenv("STREAMLIMIT_GRANT_KEYS", "hush-hush-without-brackets")
    _, out, err = command("serve")
    assert "hush" not in out + err


def test_secrets_are_not_in_a_settings_text() -> None:
    settings = load_settings(operator_keys=["psst-psst"], grant_keys=["hush-hush-hush-hush"])
    assert "psst" not in repr(settings)
    assert "hush" not in repr(settings) + str(settings.model_dump())


def test_every_setting_is_a_flag(command: Command) -> None:
    code, out, _ = command("serve", "--help")
    assert code == 0
    assert not [name for name in Settings.model_fields if "--" + name.replace("_", "-")[:20] not in out]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().max_sessions = 4  # type: ignore[misc]


def test_an_error_names_its_setting() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(max_sessions=0)
    assert caught.value.name == "max_sessions"


def test_times_become_milliseconds() -> None:
    policy = load_settings(segment_seconds=0.3, missed_segments=4, start_seconds=1.5, buffer_seconds=2).policy()
    assert (policy.segment_ms, policy.expiry_ms, policy.start_ms, policy.buffer_ms) == (300, 1_200, 1_500, 2_000)


def test_the_smallest_segment_is_a_millisecond() -> None:
    assert load_settings(segment_seconds=0.000001).policy().segment_ms == 1


def test_the_environment_of_a_test_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests/service.py relies on: numbers and lists as JSON are what variables take."""
    monkeypatch.setenv("STREAMLIMIT_SEGMENT_SECONDS", json.dumps(0.5))
    monkeypatch.setenv("STREAMLIMIT_ALLOW_OPEN", json.dumps(True))
    monkeypatch.setenv("STREAMLIMIT_LISTEN", f"127.0.0.1:{free_port()}")
    settings = load_settings()
    assert (settings.segment_seconds, settings.allow_open) == (0.5, True)
