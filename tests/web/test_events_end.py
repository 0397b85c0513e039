"""How a stream of events ends, and how it outlives an outage of the store."""

import os
import signal
from pathlib import Path

from tests import servers
from tests.service import OPERATOR_KEY, Service, started
from tests.web.listening import listening


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
