"""How a stream of events ends, and how it outlives an outage of the store."""

import http.client
import json
import os
import signal
import threading
from itertools import count
from pathlib import Path

import pytest

from streamlimit.feed.hub import MOST
from streamlimit.settings import key_hash
from tests import servers
from tests.service import OPERATOR_KEY, Service, started, wait_until
from tests.web.listening import Listening, listening

ANNA, BEN = "the-key-of-anna", "the-key-of-ben"


def beat(service: Service, user: str) -> int:
    return service.post(f"/v1/users/{user}/sessions/tv/heartbeat", {"stream_id": "orchard"}).status


def test_at_a_stop_each_listener_hears_so_at_once_and_the_last_events_are_kept(tmp_path: Path) -> None:
    with started(tmp_path, segment_seconds=60, drain_seconds=60) as service:
        with listening(service.port) as stream, listening(service.port, version="1.0") as old:
            stream.joined()
            old.joined()
            beat(service, "ada")
            os.kill(service.process.pid, signal.SIGTERM)
            told = [stream.event()]
            if told[0].type == "session.started":
                told.append(stream.event())
            assert (told[-1].type, told[-1].data) == ("closing", {"reason": "shutdown"})
            assert stream.block() is None
            assert old.event().type in ("session.started", "closing")
            last = stream.last_id
        service.process.wait(20)  # long before what running segments may take
    with started(tmp_path, segment_seconds=60) as again:
        events = again.get("/v1/users/ada/history", key=OPERATOR_KEY).json["events"]
        assert [each["type"] for each in events] == ["session.started"]
        if len(told) == 1:  # it was not on the stream any more: the next one has it
            with listening(again.port, resumed=last) as stream:
                assert stream.event().type == "session.started"


def test_in_an_outage_of_the_store_the_stream_stays_open_says_so_and_goes_on(tmp_path: Path) -> None:
    with (
        servers.single("valkey") as valkey,
        started(tmp_path, segment_seconds=60, store=valkey.url) as service,
        listening(service.port) as stream,
    ):
        stream.joined()
        valkey.hang()
        assert stream.event().type == "outage"
        with listening(service.port) as late:
            assert late.status == 200
            assert late.event().type == "outage"
            valkey.resume()
            assert late.event().type == "recovered"
        assert stream.event().type == "recovered"
        while beat(service, "ada") != 200:
            pass
        assert stream.event().type == "session.started"


def keys(**roles: str) -> str:
    """A file of settings with these keys of Anna and Ben."""
    of = {"anna": ANNA, "ben": BEN}
    lines = [f'{{name = "{name}", role = "{role}", hash = "{key_hash(of[name])}"}}' for name, role in roles.items()]
    return f"operator_keys = [{', '.join(lines)}]\n"


@pytest.mark.parametrize(
    ("other", "reason"),
    [("", "unauthenticated"), (f'service_keys = ["{ANNA}"]\n', "forbidden")],
    ids=["it is none any more", "it is a back end's now"],
)
def test_whose_key_is_taken_back_hears_no_more_and_others_go_on(tmp_path: Path, other: str, reason: str) -> None:
    """At once, not at the next mark: the key may be in wrong hands."""
    file = tmp_path / "streamlimit.toml"
    file.write_text(keys(anna="operate", ben="read"))
    with started(tmp_path, operator_keys=None, segment_seconds=60) as service:
        with listening(service.port, key=ANNA) as anna, listening(service.port, key=BEN) as ben:
            anna.joined()
            ben.joined()
            file.write_text(keys(ben="read") + other)
            service.process.send_signal(signal.SIGHUP)
            last = anna.event()
            assert (last.type, last.data) == ("closing", {"reason": reason})
            assert anna.block() is None
            beat(service, "ada")
            assert ben.event().type == "session.started"
        with listening(service.port, key=ANNA) as again:
            assert again.status == (403 if other else 401)


def flood(service: Service, count: int, first: int = 0) -> None:
    """So many sessions of so many users start."""
    line = http.client.HTTPConnection("127.0.0.1", service.port)
    body = json.dumps({"stream_id": "orchard"})
    for number in range(first, first + count):
        path = f"/v1/users/u{number}/sessions/tv/heartbeat"
        line.request("POST", path, body, {"Content-Type": "application/json"})
        answer = line.getresponse()
        answer.read()
        assert answer.status == 200
    line.close()


def count_starts(stream: Listening, count: int, heard: list[str]) -> None:
    while len(heard) < count:
        told = stream.event()
        assert told.type == "session.started", told.type
        heard.append(told.session["user_id"])


def test_who_reads_too_slowly_is_sent_away_with_a_word_and_who_reads_hears_all(tmp_path: Path) -> None:
    started_sessions = 2 * MOST + 1_500  # the window, what was sent of it at once at most, and what sockets take
    with (
        started(tmp_path, segment_seconds=600, request_seconds=600) as service,
        listening(service.port) as quick,
        listening(service.port, receive_buffer=8_192) as slow,
    ):
        slow.joined()
        heard: list[str] = []
        reader = threading.Thread(target=count_starts, args=(quick.joined(), started_sessions, heard))
        reader.start()
        flood(service, started_sessions)
        reader.join(100)
        assert sorted(heard) == sorted(f"u{number}" for number in range(started_sessions))
        late = []
        while (told := slow.event()).type == "session.started":
            late.append(told.session["user_id"])
        assert (told.type, told.data) == ("closing", {"reason": "too-slow"})
        assert slow.block() is None
        assert late == heard[: len(late)]
        with listening(service.port, resumed=slow.last_id) as again:  # the store keeps more than the window
            rest: list[str] = []
            count_starts(again, started_sessions - len(late), rest)
        assert late + rest == heard


def test_who_reads_nothing_at_all_is_cut(tmp_path: Path) -> None:
    with (
        started(tmp_path, segment_seconds=600, request_seconds=1) as service,
        listening(service.port, receive_buffer=8_192) as stream,
    ):
        stream.joined()

        rounds = count()

        def is_cut() -> bool:
            flood(service, 200, 200 * next(rounds))
            return 'connections_given_up_total{awaited="reading"} 1' in metrics(service)

        wait_until(is_cut, 60, "the end of who reads nothing")
        with pytest.raises(ConnectionError):
            drain(stream)


def drain(stream: Listening) -> None:
    while stream.block():
        pass


def metrics(service: Service) -> str:
    return service.get("/metrics", key=OPERATOR_KEY).body.decode()
