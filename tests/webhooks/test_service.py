"""Call backs of the real service, and the command that shows them."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streamlimit.cli import app
from streamlimit.errors import SettingsError
from streamlimit.store.sqlite import SqliteOutbox
from tests import service
from tests.service import OPERATOR_KEY, Service
from tests.webhooks.receiver import SECRET, Receiver, Reply

STREAM = "clock"


def called_back(receiver: Receiver, **more: Any) -> dict[str, Any]:
    """The settings of a service that calls *receiver* back."""
    callback = {"url": receiver.url, "secret": SECRET, "name": "hook"} | more
    return {"callbacks": [callback], "allow_private_callbacks": True, "segment_seconds": 1, "sweep_seconds": 0.2}


def types(receiver: Receiver, session: str) -> list[str]:
    return [got.type for got in receiver.accepted if got.session[1] == session]


def command(folder: Path, settings: dict[str, Any], *flags: str) -> str:
    """What `streamlimit callbacks` prints, beside the running service."""
    chosen = settings | {"store": f"sqlite:///{folder}/streamlimit.db"}
    names = {f"STREAMLIMIT_{name.upper()}": json.dumps(value).strip('"') for name, value in chosen.items()}
    result = CliRunner().invoke(app, ["callbacks", *flags], env=names, catch_exceptions=False)
    return result.stdout


def shown(folder: Path, settings: dict[str, Any], *flags: str) -> Any:
    return json.loads(command(folder, settings, "--json", *flags))


def test_every_change_is_called_back_verified_and_in_order(tmp_path: Path, receiver: Receiver) -> None:
    with service.started(tmp_path, **called_back(receiver)) as running:
        assert running.segment("alice", "ended", STREAM).status == 200
        receiver.wait_for(lambda: types(receiver, "ended") == ["started"])
        running.segment("alice", "ended", "orchard")
        receiver.wait_for(lambda: types(receiver, "ended") == ["started", "moved"])
        running.call("DELETE", "/v1/users/alice/sessions/ended")
        running.segment("alice", "sent-away", STREAM)
        running.call("DELETE", "/v1/users/alice/sessions/sent-away?reason=loud", key=OPERATOR_KEY)
        running.segment("alice", "silent", STREAM)
        receiver.wait_for(lambda: "expired" in types(receiver, "silent"))
        assert types(receiver, "ended") == ["started", "moved", "ended"]
        assert types(receiver, "sent-away") == ["started", "terminated"]
        assert types(receiver, "silent") == ["started", "expired"]
        [told] = [got.event for got in receiver.accepted if got.type == "terminated"]
        assert (told["data"]["by"], told["data"]["reason"]) == ("operator", "loud")
        assert set(told["data"]["session"]) >= {"session_id", "user_id", "state", "device", "generation", "move"}
        assert receiver.invalid == []
        assert len({got.id for got in receiver.got}) == len(receiver.got) == 7
        assert running.sweep()["callbacks_pending"] == 0
        assert SECRET not in running.log()


def test_a_refusal_is_called_back_once_however_often_it_is_made(tmp_path: Path, receiver: Receiver) -> None:
    settings = called_back(receiver, types=["session.refused"]) | {"max_sessions": 1, "segment_seconds": 20}
    with service.started(tmp_path, **settings) as running:
        running.segment("alice", "tv", STREAM)
        for _ in range(20):
            assert running.segment("alice", "phone", STREAM).status in (409, 429)
        receiver.wait_for(lambda: bool(receiver.got))
        time.sleep(0.3)
        [got] = receiver.got
    assert (got.type, got.session) == ("refused", ("alice", "phone"))
    assert (got.event["data"]["reason"], got.event["data"]["session"]["state"]) == ("session-limit", "refused")


def test_an_event_arrives_within_a_tenth_of_a_second(tmp_path: Path, receiver: Receiver) -> None:
    with service.started(tmp_path, **called_back(receiver) | {"max_sessions": 64}) as running:
        took = []
        for k in range(9):
            running.segment("alice", f"s{k}", STREAM)
            answered = time.time()
            receiver.wait_for(lambda k=k: bool(types(receiver, f"s{k}")))  # type: ignore[misc]
            took.append(receiver.accepted[-1].at - answered)
    assert statistics.median(took) < 0.1


def latency_ms(running: Service, requests: int = 60) -> float:
    """The median of Endpoint 1's time, for sessions that begin (each makes an event)."""
    took = []
    for k in range(requests):
        began = time.perf_counter()
        assert running.segment(f"user-{k}", "tv", STREAM).status == 200
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1_000


def test_a_receiver_that_hangs_slows_no_viewer(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "quiet").mkdir()
    (tmp_path / "loud").mkdir()
    with service.started(tmp_path / "quiet", segment_seconds=60) as running:
        quiet = latency_ms(running)
    receiver.answer = lambda event: Reply(204, after=30)
    with service.started(tmp_path / "loud", **called_back(receiver) | {"segment_seconds": 60}) as running:
        loud = latency_ms(running)
        assert running.sweep()["callbacks_pending"] == 60
    assert loud < 2 * quiet + 10


def test_an_endpoint_that_says_gone_is_shown_and_enabled_by_a_replay(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda event: Reply(410)
    settings = called_back(receiver)
    with service.started(tmp_path, **settings) as running:
        running.segment("alice", "tv", STREAM)
        receiver.wait_for(lambda: "callback_endpoint_disabled" in running.log())
        seen = shown(tmp_path, settings)
        assert (seen["endpoint"], seen["disabled"], seen["pending"]) == ("hook", "status 410", 1)
        receiver.answer = lambda event: Reply()
        shown(tmp_path, settings, "--replay")
        receiver.wait_for(lambda: types(receiver, "tv")[:1] == ["started"])
        assert shown(tmp_path, settings)["disabled"] is None


def test_dead_letters_are_listed_and_replayed(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda event: Reply(500)
    settings = called_back(receiver)
    with service.started(tmp_path, **settings) as running:
        running.segment("alice", "tv", STREAM)
        receiver.wait_for(lambda: bool(receiver.got))
        outbox = SqliteOutbox(f"{tmp_path}/streamlimit.db", {"hook": ["session.started"]})
        service.wait_until(lambda: shown(tmp_path, settings)["retrying"] == 1, 10)
        text = command(tmp_path, settings)
        assert "hook" in text
        assert "status 500" in text
        for _ in range(500):  # as if it had failed for a day
            for delivery in outbox.claim("hook", "test", 1, 5_000):
                outbox.give_up(delivery, "status 500")
            if outbox.backlog()[0].dead:
                break
            time.sleep(0.01)
        seen = shown(tmp_path, settings)
        [dead] = [delivery for delivery in seen["dead_letters"] if delivery["type"] == "session.started"]
        assert (dead["user_id"], dead["session_id"], dead["problem"]) == ("alice", "tv", "status 500")
        assert f"dead letter to hook: {dead['id']} session.started" in command(tmp_path, settings)
        receiver.answer = lambda event: Reply()
        assert shown(tmp_path, settings, "--replay")["replayed"] >= 1
        receiver.wait_for(lambda: dead["id"] in {got.id for got in receiver.accepted}, 30)
        assert shown(tmp_path, settings)["dead"] == 0


def test_every_drop_is_told_and_an_endpoint_that_fails_costs_another_nothing(tmp_path: Path) -> None:
    with Receiver() as failing, Receiver() as healthy:
        failing.answer = lambda event: Reply(500)
        hooks = [{"url": each.url, "secret": SECRET, "name": n} for n, each in (("A", failing), ("B", healthy))]
        settings = called_back(failing) | {"callbacks": hooks, "outbox_max_events": 3, "segment_seconds": 60}
        with service.started(tmp_path, **settings) as running:
            for user in range(6):
                beat = f"/v1/users/u{user}/sessions/tv"
                assert running.post(f"{beat}/heartbeat", {"stream_id": STREAM}).status == 200
                assert running.call("DELETE", beat).status == 204
                healthy.wait_for(lambda user=user: len(healthy.accepted) == 2 * (user + 1))  # type: ignore[misc]
            text = command(tmp_path, settings, "--json")
            told = {each["endpoint"]: each for each in map(json.loads, text.splitlines())}
            scraped = running.get("/metrics", key=OPERATOR_KEY).body.decode()
    assert ((told["A"]["pending"], told["A"]["dropped"]), told["B"]["dropped"]) == ((3, 9), 0)
    assert 'streamlimit_callbacks_dropped_total{endpoint="A"} 9.0' in scraped
    assert 'streamlimit_callbacks_dropped_total{endpoint="B"} 0.0' in scraped


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/"]
)
@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_a_private_address_stops_the_start_unless_it_is_meant(command: str, url: str) -> None:
    callbacks = json.dumps([{"url": url, "secret": SECRET}])
    flags = ["--callbacks", callbacks, "--store", "sqlite:///:memory:", "--listen", "127.0.0.1:0"]
    with pytest.raises(SettingsError, match=r"callbacks.0.url: .*allow_private_callbacks"):
        CliRunner().invoke(app, [command, *flags], catch_exceptions=False)
