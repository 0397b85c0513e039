"""Live streams of an origin, players, edges, and what a slow or greedy party may not do to the others."""

import asyncio
import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from streamlimit.bootstrap.streams import check_origin
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings
from tests.edge.calls import Viewer
from tests.needs import needs
from tests.origin import server as does
from tests.origin.server import Handler, Origin
from tests.service import Service, started, temporary_folder, wait_until
from tests.web.folders import content

LIVE = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:10\n"
PARTS = (
    "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0\n"
    '#EXT-X-MEDIA-SEQUENCE:100\n#EXTINF:4.0,\ns100.m4s\n#EXT-X-PART:DURATION=1.0,URI="s101.p0.m4s"\n'
)


@pytest.fixture(scope="module")
def running(server: Origin) -> Iterator[Service]:
    with temporary_folder() as folder:
        settings = {"segment_seconds": 6, "origin_seconds": 20, "start_seconds": 60, "trusted_proxies": ["127.0.0.1"]}
        with started(folder, streams=server.url + "/", **settings) as service:
            yield service


def publish(server: Origin, name: str, numbers: range, head: str = LIVE) -> None:
    folder = server.folder / name
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.ts").write_bytes(content(f"{name}{number}", 500))
    lines = "".join(f"#EXTINF:2.0,\n{number}.ts\n" for number in numbers)
    (folder / "index.m3u8").write_text(head + lines)


def connected(service: Service, path: str) -> socket.socket:
    """A viewer who has asked for *path*, with a small window."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    client.settimeout(20)
    client.connect(("127.0.0.1", service.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def grant_path(service: Service, user: str, stream: str, session: str = "s") -> str:
    form = {"user_id": user, "session_id": session, "stream_id": stream}
    return f"/play/{service.post('/v1/sessions', form).json['grant']}/{stream}/"


def test_a_live_stream_goes_on_as_its_origin_does(service: Service, server: Origin, user: str) -> None:
    name = "live-" + user
    publish(server, name, range(10, 14))
    assert service.segment(user, "s", name).headers["streamlimit-segment"] == "11.ts"  # three targets from the edge
    for number in (12, 13):
        assert service.segment(user, "s", name).body == content(f"{name}{number}", 500)
    edge = service.segment(user, "s", name)
    assert (edge.status, edge.headers["retry-after"]) == (204, "1")
    publish(server, name, range(10, 16))
    wait_until(lambda: service.segment(user, "s", name).headers.get("streamlimit-segment") == "14.ts", 10)
    assert service.segment(user, "s", name, segment="15.ts").status == 200  # by name, too


def test_a_segment_that_is_newer_than_what_was_seen_is_known_when_it_is_asked_for(
    service: Service, server: Origin, user: str
) -> None:
    name = "newer-" + user
    publish(server, name, range(10, 13))
    path = grant_path(service, user, name)
    assert service.get(path + "12.ts").headers["streamlimit-segment"] == "12.ts"
    publish(server, name, range(10, 14))

    def is_known() -> bool:
        return service.get(path + "13.ts").headers.get("streamlimit-segment") == "13.ts"

    wait_until(is_known, 10, "the new segment")


def test_however_many_ask_for_a_live_playlist_at_once_the_origin_is_asked_once(
    service: Service, server: Origin, user: str
) -> None:
    name = "many-" + user
    publish(server, name, range(10, 14))
    path, arrived, file = grant_path(service, user, name), threading.Event(), f"/{name}/index.m3u8"

    def slowly(handler: Handler, playlist: bytes) -> None:
        arrived.wait(10)
        handler.answer(200, playlist)

    server.misbehave(file, slowly)
    before, clients = server.targets().count(file), list[socket.socket]()

    def is_asked() -> bool:
        clients.append(connected(service, path + "index.m3u8"))
        return server.targets().count(file) > before

    wait_until(is_asked, 10, "the origin to be asked again")
    clients += [connected(service, path + "index.m3u8") for _ in range(12)]
    assert service.get("/healthz").status == 200  # all were read by now
    assert server.targets().count(file) == before + 1
    arrived.set()
    answers = [client.recv(100) for client in clients]
    for client in clients:
        client.close()
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_a_blocking_reload_is_the_origins_to_hold(service: Service, server: Origin, user: str) -> None:
    name = "parts-" + user
    (server.folder / name).mkdir()
    (server.folder / name / "index.m3u8").write_text(PARTS)
    path = grant_path(service, user, name)
    asked = service.get(path + "index.m3u8?_HLS_msn=101&_HLS_part=1&evil=1&_HLS_skip=YES")
    assert asked.status == 200
    assert f"/{name}/index.m3u8?_HLS_msn=101&_HLS_part=1" in server.targets()
    assert not any("evil" in target or "skip" in target for target in server.targets())
    assert service.get(path + "index.m3u8?_HLS_msn=999").json["code"] == "malformed"
    assert service.get(path + "index.m3u8?_HLS_msn=100").status == 200  # it is there: nobody need be asked
    assert not any("_HLS_msn=100" in target for target in server.targets())


def test_bytes_come_as_the_origin_sends_them(service: Service, server: Origin, user: str) -> None:
    path = grant_path(service, user, "tiny")
    server.misbehave("/tiny/a.ts", does.stall)
    with connected(service, path + "a.ts") as client:
        received = b""
        while len(received.partition(b"\r\n\r\n")[2]) < 3_000:  # the other half is never sent
            received += client.recv(65_536)
    assert received.endswith(content("a.ts")[:3_000])


def test_a_viewer_who_leaves_while_the_origin_hangs_frees_the_seat(service: Service, server: Origin, user: str) -> None:
    path = grant_path(service, user, "tiny")
    for behave, name in ((does.hang, "a.ts"), (does.stall, "b.ts")):
        server.misbehave(f"/tiny/{name}", behave)
        client = connected(service, path + name)
        wait_until(lambda name=name: f"/tiny/{name}" in server.targets(), 10, "the origin to be asked")
        if behave is does.hang:  # a reset: an end alone says only that no more requests come
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        wait_until(lambda: service.watching(user)["live_sessions"] == 0, 5, "the seat")


def test_an_origin_is_read_only_as_fast_as_its_viewer_reads(service: Service, server: Origin, user: str) -> None:
    sent, size = [0], 200_000_000

    def flood(handler: Handler, _content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        while sent[0] < size:
            sent[0] += handler.wfile.write(bytes(100_000))

    path = grant_path(service, user, "tiny")
    server.misbehave("/tiny/a.ts", flood)
    with connected(service, path + "a.ts") as client:
        assert client.recv(10_000)
        before = -1
        while sent[0] != before:  # until nobody takes any more
            before = sent[0]
            time.sleep(0.2)
        assert sent[0] < 30_000_000


@pytest.mark.parametrize("behave", [does.huge, does.bomb])
def test_an_oversized_playlist_is_bounded_and_the_others_play_on(
    service: Service, server: Origin, user: str, behave: does.Behaviour
) -> None:
    name = "huge-" + user
    (server.folder / name).mkdir()
    (server.folder / name / "index.m3u8").write_text("#EXTM3U\n")
    server.misbehave(f"/{name}/index.m3u8", behave)
    answer = service.segment(user, "s", name)
    assert (answer.status, answer.json["code"]) == (502, "origin-failed")
    assert service.segment(user, "s", "tiny").status == 200


def test_a_playlist_that_the_origin_packs_is_unpacked(service: Service, server: Origin, user: str) -> None:
    name = "packed-" + user
    publish(server, name, range(10, 12), LIVE + "#EXT-X-PLAYLIST-TYPE:VOD\n")
    server.misbehave(f"/{name}/index.m3u8", does.gzipped)
    path = grant_path(service, user, name)
    assert service.get(path.replace("/play/", "/play/") + "index.m3u8").status == 200
    assert service.segment(user, "s", name).headers["streamlimit-segment"] == "10.ts"


def test_a_stream_stays_known_while_its_origin_is_away(service: Service, server: Origin, user: str) -> None:
    name = "away-" + user
    publish(server, name, range(10, 14))
    assert service.segment(user, "s", name).status == 200
    server.misbehave(f"/{name}/index.m3u8", does.status(503))
    path = grant_path(service, user, name)

    def is_told() -> bool:
        return service.get(path + "index.m3u8").status == 502

    wait_until(is_told, 10, "the playlist to be asked for again")
    assert service.segment(user, "s", name).status == 200
    assert service.watching(user)["live_sessions"] == 1


def test_heartbeats_and_edges_know_an_origins_streams(service: Service, server: Origin, user: str) -> None:
    url = f"/v1/users/{user}/sessions/s/heartbeat"
    assert service.post(url, {"stream_id": "tiny", "segment": "b.ts"}).json["sequence"] == 1
    assert service.post(url, {"stream_id": "tiny"}).status == 200
    assert service.post(url, {"stream_id": "tiny", "segment": "z.ts"}).json["code"] == "unknown-segment"
    assert service.post(url, {"stream_id": "none-such"}).json["code"] == "unknown-stream"
    viewer = Viewer(service, user, "edge", "orchard")
    asked = viewer.ask("video-180p/seg-00002.m4s")
    assert (asked.status, asked.headers["streamlimit-segment"]) == (200, "video-180p/seg-00002.m4s")
    report = {"grant": viewer.grant, "path": "orchard/video-180p/seg-00002.m4s", "complete": True}
    assert service.post("/edge/reports", [report]).json == {"gone": []}
    state = viewer.state()
    assert state is not None
    assert (state["state"], state["sequence"]) == ("active", 1)
    assert viewer.ask("video-180p/../../tiny/a.ts").status == 403


def test_the_streams_that_are_known_are_listed(service: Service, user: str) -> None:
    service.segment(user, "s", "tiny")
    listed = {each["stream_id"]: each for each in service.get("/v1/streams").json["streams"]}
    assert listed["tiny"] | {"title": ""} == {
        "stream_id": "tiny", "title": "", "entry": "index.m3u8", "segments": 3, "segment_seconds": 2.0, "live": False,
    }  # fmt: skip


@pytest.mark.parametrize(("stream", "entry"), [("orchard", "master.m3u8"), ("clock", "manifest.mpd")])
def test_ffmpeg_plays_what_the_origin_has(service: Service, server: Origin, user: str, stream: str, entry: str) -> None:
    needs("ffmpeg", "ffprobe")
    found = next(each for each in (server.folder / stream).iterdir() if each.name in (entry, "index.m3u8", entry))
    url = service.url + grant_path(service, user, stream) + found.name
    decode = ["ffmpeg", "-v", "error", "-nostdin", "-i", "{}", "-map", "0:v:0", "-f", "hash", "-hash", "md5", "-"]
    through, direct = (
        subprocess.run([part.format(source) for part in decode], capture_output=True, text=True, timeout=120)
        for source in (url, f"{server.url}/{stream}/{found.name}")
    )
    assert (through.returncode, through.stderr) == (0, ""), through.stderr
    assert through.stdout == direct.stdout
    assert service.watching(user)["sessions"][0]["state"] == "active"


def test_the_log_names_no_grant_and_no_trace(service: Service) -> None:
    log = service.log()
    assert "Traceback" not in log
    assert not any('"level":"error"' in line for line in log.splitlines())
    assert all(json.loads(line) for line in log.splitlines() if line.startswith("{"))


def test_check_config_asks_the_origin(server: Origin) -> None:
    asyncio.run(check_origin(Settings(streams=server.url + "/none-such")))
    with pytest.raises(SettingsError, match=r"streams: no connection"):
        asyncio.run(check_origin(Settings(streams="http://127.0.0.1:1/x")))
