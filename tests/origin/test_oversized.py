"""An origin that sends more than it says, or without an end: nothing false counts, and nobody's seat is kept by it."""

import http.client
import socket
import struct

import pytest

from tests.origin import server as does
from tests.origin.server import Origin
from tests.service import Service, wait_until
from tests.web.folders import content

MUCH = 3_000_000


SETTINGS = {"segment_seconds": 60, "origin_seconds": 20}
"""Of the service `running` (conftest.py)."""


def _playback(service: Service, user: str) -> str:
    """The path of a playback URL up to its stream; its session holds no seat."""
    opened = service.post("/v1/sessions", {"user_id": user, "session_id": "s", "stream_id": "tiny"}).json
    service.post(f"/v1/users/{user}/sessions/s/end", {"grant": opened["grant"], "keep_grant": True})
    return f"/play/{opened['grant']}/tiny/"


def _received(service: Service, user: str) -> list[str]:
    """The last segments of the user's sessions."""
    return [each["segment"] for each in service.watching(user)["sessions"]]


def test_the_same_connection_brings_one_segment_after_the_other(service: Service, server: Origin, user: str) -> None:
    path = _playback(service, user)
    before = server.connections
    for _ in range(5):
        for name in ("a.ts", "b.ts", "c.ts"):
            assert service.get(path + name).body == content(name)
    assert server.connections - before <= 2


def test_odd_headers_of_a_playlist_cost_no_stream(service: Service, server: Origin, user: str) -> None:
    stream = server.folder / "marked"
    stream.mkdir()
    (stream / "a.ts").write_bytes(b"a")
    (stream / "index.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n")
    server.misbehave("/marked/index.m3u8", does.odd_headers)

    def is_asked_again() -> bool:
        assert service.segment(user, "s", "marked").status in (200, 204)
        return [path for _, path, _ in server.asked].count("/marked/index.m3u8") > 2

    wait_until(is_asked_again, 20, "the playlist to be asked for again")


@pytest.mark.parametrize("behave", [does.surplus, does.answer_twice])
def test_what_follows_the_length_is_of_no_file(
    service: Service, server: Origin, user: str, behave: does.Behaviour
) -> None:
    server.misbehave("/tiny/a.ts", behave)
    path = _playback(service, user)
    for _ in range(3):
        assert service.get(path + "a.ts").body == content("a.ts")
        assert service.get(path + "b.ts").body == content("b.ts")
    assert _received(service, user) == ["b.ts"]


def test_of_chunks_and_another_length_the_chunks_count(service: Service, server: Origin, user: str) -> None:
    server.misbehave("/tiny/a.ts", does.two_lengths)
    assert service.get(_playback(service, user) + "a.ts").body == content("a.ts")
    assert _received(service, user) == ["a.ts"]


def test_a_segment_without_an_end_counts_never_and_frees_the_seat_when_its_viewer_leaves(
    service: Service, server: Origin, user: str
) -> None:
    server.misbehave("/tiny/a.ts", does.endless)
    path = _playback(service, user)
    with socket.create_connection(("127.0.0.1", service.port), 20) as line:
        line.sendall(f"GET {path}a.ts HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        read = 0
        while read < MUCH:
            read += len(line.recv(65_536))
        assert _received(service, user) == [None]
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: _received(service, user) == [], 20, "the seat")


@pytest.mark.parametrize("behave", [does.a_byte_behind_gzip, does.endless_behind_gzip])
def test_more_behind_the_end_of_what_is_packed_is_no_segment(
    service: Service, server: Origin, user: str, behave: does.Behaviour
) -> None:
    server.misbehave("/tiny/a.ts", behave)
    with pytest.raises(http.client.IncompleteRead):
        service.get(_playback(service, user) + "a.ts")
    wait_until(lambda: _received(service, user) == [], 20, "the seat")


@pytest.mark.parametrize("target", ["tiny/a.ts", "packed/all.mp4"])
def test_of_a_range_without_an_end_comes_what_was_asked_for(
    service: Service, server: Origin, user: str, target: str
) -> None:
    """Of a segment under a lease, and of an index, for which nobody needs a seat: the next request is answered."""
    server.misbehave("/" + target, does.endless_range)
    path = _playback(service, user).replace("tiny/", target)
    line = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    for _ in range(2):
        line.request("GET", path, headers={"Range": "bytes=0-9"})
        answer = line.getresponse()
        assert (answer.status, len(answer.read())) == (206, 10)
    line.close()
    assert _received(service, user) == []
