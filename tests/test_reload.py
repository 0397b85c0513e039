"""`kill -HUP`: what a running service takes over from its changed settings, what it names, and that it goes on."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamlimit.bootstrap.reload import read_again
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings, load_settings
from streamlimit.webhooks.addresses import Addresses
from streamlimit.webhooks.dispatcher import WebhookDispatcher
from streamlimit.webhooks.endpoint import Endpoint
from streamlimit.webhooks.sender import Sender
from tests.ports import free_port
from tests.service import SAMPLES, Service, await_readiness, started, stop, wait_until

OLD, NEW, BACKEND = "operator-key-of-before", "operator-key-of-now", "key-of-the-back-end-0123"
BEFORE = f'operator_keys = ["{OLD}"]\nservice_keys = ["{BACKEND}"]\n[plans]\nfamily = 1\n'
AFTER = BEFORE.replace(OLD, NEW).replace("family = 1", "family = 2").replace("[plans]", "max_sessions = 5\n[plans]")


@contextmanager
def serving(folder: Path, workers: int = 1, awaited: str = "/readyz") -> Iterator[Service]:
    (folder / "streamlimit.toml").write_text(BEFORE)
    with started(folder, operator_keys=None, workers=workers, awaited=awaited, segment_seconds=60) as service:
        yield service


def change(service: Service, text: str) -> None:
    service.log_path.with_name("streamlimit.toml").write_text(text)


def lines(service: Service, event: str) -> list[dict[str, Any]]:
    """Of the log."""
    return [json.loads(line) for line in service.log().splitlines() if f'"event":"{event}"' in line]


def await_lines(service: Service, event: str, count: int) -> list[dict[str, Any]]:
    wait_until(lambda: len(lines(service, event)) >= count, 20, f"{count} lines {event}")
    return lines(service, event)


def statuses(service: Service, key: str) -> set[int]:
    """Of many connections: each worker gets some."""
    return {service.get("/v1/sessions", key=key).status for _ in range(20)}


def seats(service: Service, user: str, plan: str) -> list[int]:
    """Whether three sessions of the user get a seat."""
    forms = ({"user_id": user, "stream_id": "clock", "session_id": name, "plan": plan} for name in ("a", "b", "c"))
    return [service.post("/v1/sessions", form, key=BACKEND).status for form in forms]


def test_keys_and_plans_change_and_the_rest_is_named(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        assert statuses(service, OLD) == {200}
        assert seats(service, "ada", "family") == [201, 409, 409]
        change(service, AFTER)
        service.process.send_signal(signal.SIGHUP)
        (line,) = await_lines(service, "settings_reloaded", 1)
        assert line["changed"] == ["plans", "operator_keys"]
        assert line["needs_restart"] == ["max_sessions"]
        assert (statuses(service, OLD), statuses(service, NEW)) == ({401}, {200})
        assert seats(service, "ada", "family") == [200, 201, 409], "who sat goes on"
        assert OLD not in service.log()
        assert NEW not in service.log()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (AFTER.replace("max_sessions = 5", "max_sessions = 0"), "max_sessions"),
        (AFTER.replace("max_sessions = 5", 'streems = "x"'), "streems"),
        (AFTER.replace("[plans]", "[plans"), "streamlimit.toml"),
        (AFTER + '[[callbacks]]\nurl = "http://127.0.0.1/"\nsecret = "s"\n', "callbacks.0.url"),
    ],
    ids=["a value", "a name", "no TOML", "a call back to a private address"],
)
def test_wrong_settings_change_nothing_and_are_named(
    text: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "streamlimit.toml").write_text(BEFORE)
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    (tmp_path / "streamlimit.toml").write_text(text)
    with pytest.raises(SettingsError, match=named):
        read_again(settings)


def test_a_file_that_is_gone_takes_no_key_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_again(load_settings()).changed == []
    file = tmp_path / "streamlimit.toml"
    file.write_bytes(b"\xef\xbb\xbf" + BEFORE.encode())  # as some editors begin a file
    settings = load_settings()
    file.unlink()
    with pytest.raises(SettingsError, match="not there any more"):
        read_again(settings)
    file.write_text(AFTER)
    assert read_again(settings).changed == ["plans", "operator_keys"]


def test_every_worker_takes_them_over_and_goes_on_with_the_old_ones_where_new_ones_are_wrong(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as service:
        await_workers(service, 2)
        children = workers_of(service)
        change(service, "nonsense = 1\n" + BEFORE)
        service.process.send_signal(signal.SIGHUP)
        assert {line["setting"] for line in await_lines(service, "reload_refused", 2)} == {"nonsense"}
        assert statuses(service, OLD) == {200}
        change(service, AFTER)
        service.process.send_signal(signal.SIGHUP)
        await_lines(service, "settings_reloaded", 2)
        assert (statuses(service, OLD), statuses(service, NEW)) == ({401}, {200})
        os.kill(children[0], signal.SIGHUP)
        assert await_lines(service, "settings_reloaded", 3)[-1]["changed"] == []
        assert workers_of(service) == children, "nobody was ended"
        os.kill(children[0], signal.SIGKILL)
        wait_until(lambda: children[0] not in workers_of(service), 20, "the end of a worker")
        await_workers(service, 2)
        assert (statuses(service, OLD), statuses(service, NEW)) == ({401}, {200}), "its successor has them, too"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_that_only_starts_is_not_ended(workers: int, tmp_path: Path) -> None:
    """Nor a worker of it, from its first moment on."""
    (tmp_path / "streamlimit.toml").write_text(BEFORE)
    process, port = spawned(tmp_path, "--workers", str(workers))
    service = Service(process, port, tmp_path / "log")
    try:
        wait_until(lambda: "streamlimit" in service.log_path.read_text(), 20, "its first word")
        while len(lines(service, "settings_reloaded")) < 3:
            assert process.poll() is None
            for pid in [process.pid, *workers_of(service)]:
                os.kill(pid, signal.SIGHUP)
            time.sleep(0.02)
        assert statuses(service, OLD) == {200}
        assert " died " not in service.log()
    finally:
        stop(process)


def spawned(folder: Path, *flags: str, **more: Any) -> "tuple[subprocess.Popen[bytes], int]":
    """`serve` in *folder*, nothing awaited; its log is there. And its port."""
    command = [sys.executable, "-m", "streamlimit.cli", "serve", "--listen", f"127.0.0.1:{(port := free_port())}"]
    with (folder / "log").open("wb") as log:
        more = {"start_new_session": True} | more
        return subprocess.Popen([*command, *flags], cwd=folder, stdout=log, stderr=log, **more), port


def await_workers(service: Service, count: int) -> None:
    """Until so many serve: each tells that it would not change anything."""

    def all_hear() -> bool:
        pids = workers_of(service)
        return len(pids) == count and all(hears(pid) for pid in pids)

    wait_until(all_hear, 30, "the workers")


def hears(pid: int) -> bool:
    """Has the process a handler of SIGHUP, and does it let it through?"""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    bit = 1 << (signal.SIGHUP - 1)
    return bool(int(status["SigCgt"], 16) & bit) and not int(status["SigBlk"], 16) & bit


def workers_of(service: Service) -> list[int]:
    """The processes that the parent started to serve."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


ONE = {"url": "https://one.example/hook", "secret": "s1", "types": ["session.expired"], "name": "one"}


class TestCallBacks:
    """Which changes of endpoints a running worker takes over."""

    def settings(self, *callbacks: dict[str, Any]) -> Settings:
        return load_settings(callbacks=list(callbacks), streams=str(SAMPLES))

    @pytest.mark.parametrize(
        ("now", "is_taken"),
        [
            ([ONE | {"secret": ["s2", "s1"]}], True),
            ([ONE | {"url": "https://two.example/hook"}], True),
            ([ONE | {"types": ["session.ended"]}], False),
            ([ONE | {"name": "two"}], False),
            ([ONE, ONE | {"name": "two"}], False),
            ([], False),
        ],
        ids=["secrets", "the URL", "types", "the name", "one more", "none"],
    )
    def test_secrets_and_addresses_change(self, now: list[dict[str, Any]], is_taken: bool) -> None:
        old = self.settings(ONE)
        found = read_again(old.given_by({"callbacks": now, "streams": str(SAMPLES)}, old.file))
        assert (found.changed, found.needs_restart) == ((["callbacks"], []) if is_taken else ([], ["callbacks"]))
        assert (found.settings.callbacks == old.callbacks) != is_taken

    def test_a_dispatcher_sends_to_the_new_ones(self) -> None:
        sender = Sender(Endpoint("https://one.example/", ["s1"], ["session.ended"], "one"), Addresses(True))
        changed = Endpoint("http://two.example/", ["s2"], ["session.ended"], "one")
        WebhookDispatcher(None, (), [sender]).adopt([changed])  # type: ignore[arg-type]  # nothing is delivered
        assert sender.endpoint is changed


def test_who_closes_the_window_in_which_it_runs_ends_it(tmp_path: Path) -> None:
    """The terminal's end is SIGHUP, too."""
    ours, theirs = pty.openpty()

    def sit_down() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process, port = spawned(tmp_path, stdin=theirs, preexec_fn=sit_down, start_new_session=False)
    os.close(theirs)
    try:
        await_readiness(Service(process, port, tmp_path / "log"))
        os.close(ours)
        assert process.wait(20) in (0, -signal.SIGTERM)
    finally:
        process.kill()


def test_what_was_made_for_this_run_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that is printed at the start where none is set, and what makes a demo one."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(plans={"a": 1}).made_for_this_run({"operator_keys": ["made"], "max_sessions": 2})
    found = read_again(settings)
    assert (found.changed, found.needs_restart) == ([], [])
    (tmp_path / "streamlimit.toml").write_text('operator_keys = ["given"]\nmax_sessions = 4\n')
    assert read_again(settings).changed == ["operator_keys"]
