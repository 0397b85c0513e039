"""Streams of an HTTP origin: found, played, passed through; and an origin that fails keeps nobody's seat."""

import http.client
import threading

import pytest

from tests.edge.calls import Viewer
from tests.origin import server as does
from tests.origin.server import Origin
from tests.service import Answer, Service, started, temporary_folder, wait_until
from tests.web.folders import content, packed_range

SETTINGS = {"segment_seconds": 6, "origin_seconds": 2, "start_seconds": 60}
"""Of the service `running` (conftest.py)."""


def playback(service: Service, user: str, stream: str, session: str = "s") -> str:
    """The path of a playback URL up to its stream, without its entry: `/play/<grant>/<stream>/`."""
    opened = service.post("/v1/sessions", {"user_id": user, "session_id": session, "stream_id": stream})
    assert opened.status in (200, 201), opened.body
    return f"/play/{opened.json['grant']}/{stream}/"


def live(service: Service, user: str) -> int:
    found: int = service.watching(user)["live_sessions"]
    return found


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


def test_endpoint_1_issues_an_origins_segments_one_after_the_other(service: Service, user: str) -> None:
    for sequence, name in enumerate(["a.ts", "b.ts", "c.ts"]):
        answer = service.segment(user, "s", "tiny")
        assert (answer.status, answer.body) == (200, content(name))
        assert answer.headers["streamlimit-segment"] == name
        assert answer.headers["streamlimit-sequence"] == str(sequence)
        assert answer.headers["content-type"] == "video/mp2t"
    end = service.segment(user, "s", "tiny")
    assert (end.status, end.headers["streamlimit-end"]) == (204, "true")
    assert service.watching(user)["sessions"][0]["segment"] == "c.ts"


def test_a_named_segment_within_a_file_is_asked_of_the_origin_as_a_range(
    service: Service, server: Origin, user: str
) -> None:
    first, last = packed_range(1)
    answer = service.segment(user, "s", "packed", segment=f"all.mp4@{first}-{last}")
    assert (answer.status, answer.body) == (200, (server.folder / "packed/all.mp4").read_bytes()[first : last + 1])
    assert [headers["range"] for _, target, headers in server.asked if target.endswith("all.mp4")] == [
        f"bytes={first}-{last}"
    ]


def test_of_an_origin_without_ranges_the_bytes_are_cut_out(service: Service, server: Origin, user: str) -> None:
    server.misbehave("/packed/all.mp4", does.whole_always)
    first, last = packed_range(2)
    answer = service.segment(user, "s", "packed", segment=f"all.mp4@{first}-{last}")
    assert answer.body == (server.folder / "packed/all.mp4").read_bytes()[first : last + 1]
    assert service.watching(user)["sessions"][0]["state"] == "active"


def test_the_entry_leads_through_a_play_and_its_segments_are_passed_through(
    service: Service, server: Origin, user: str
) -> None:
    path = playback(service, user, "tiny")
    entry = service.get(path + "index.m3u8")
    assert (entry.status, entry.headers["cache-control"]) == (200, "no-store")
    led = next(line for line in entry.body.decode().splitlines() if line and not line.startswith("#"))
    assert "~" in led
    folder = "/play/" + led.removeprefix("../../").rpartition("/")[0] + "/"
    media = service.get(folder + "index.m3u8")
    assert media.body == (server.folder / "tiny/index.m3u8").read_bytes()
    answer = service.get(folder + "a.ts")
    assert (answer.status, answer.body) == (200, content("a.ts"))
    assert answer.headers["streamlimit-segment"] == "a.ts"
    assert service.watching(user)["sessions"][0]["state"] == "active"


def test_ranges_head_and_validators_are_the_origins(service: Service, server: Origin, user: str) -> None:
    path = playback(service, user, "tiny") + "a.ts"
    whole = service.get(path)
    etag = whole.headers["etag"]
    assert whole.headers["last-modified"]
    part = service.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, content("a.ts")[10:20])
    assert part.headers["content-range"] == "bytes 10-19/6000"
    tail = service.get(path, headers={"Range": "bytes=-5", "If-Range": etag})
    assert (tail.status, tail.body) == (206, content("a.ts")[-5:])
    other = service.get(path, headers={"Range": "bytes=-5", "If-Range": '"other"'})
    assert (other.status, len(other.body)) == (200, 6_000)
    assert service.get(path, headers={"If-None-Match": etag}).status == 304
    beyond = service.get(path, headers={"Range": "bytes=9000-"})
    assert code(beyond) == (416, "range-not-satisfiable")
    assert beyond.headers["content-range"] == "bytes */6000"
    server.misbehave("/tiny/b.ts", does.only_get)
    for name in ("a.ts", "b.ts"):
        assert service.call("HEAD", path.replace("a.ts", name)).headers["content-length"] == "6000"
    head = service.call("HEAD", path)
    assert (head.status, head.headers["content-length"], head.body) == (200, "6000", b"")


def test_a_range_beyond_the_file_gives_the_reservation_back(service: Service, user: str) -> None:
    path = playback(service, user, "tiny") + "a.ts"
    assert service.get(path, headers={"Range": "bytes=9000-"}).status == 416
    assert live(service, user) == 0


@pytest.mark.parametrize(
    ("behave", "expected"),
    [
        (does.status(500), (502, "origin-failed")),
        (does.status(403), (502, "origin-failed")),
        (does.status(204), (502, "origin-failed")),
        (does.status(404), (404, "unknown-segment")),
        (does.status(410), (404, "unknown-segment")),
        (does.rubbish, (502, "origin-failed")),
        (does.until_close, (502, "origin-failed")),
        (does.redirect("http://127.0.0.2:1/tiny/a.ts"), (502, "origin-failed")),
        (does.redirect("//127.0.0.2:1/tiny/a.ts"), (502, "origin-failed")),
        (does.redirect("https://127.0.0.1/tiny/a.ts"), (502, "origin-failed")),
        (does.redirect("/tiny/a.ts"), (502, "origin-failed")),  # for ever
        (does.redirect("file:///etc/passwd"), (502, "origin-failed")),
        (does.redirect(""), (502, "origin-failed")),
    ],
)
@pytest.mark.parametrize("way", ["endpoint-1", "play"])
def test_an_origin_that_fails_keeps_nobodys_seat(
    service: Service, server: Origin, user: str, behave: does.Behaviour, expected: tuple[int, str], way: str
) -> None:
    path = playback(service, user, "tiny", "of-the-grant")
    server.misbehave("/tiny/a.ts", behave)
    if way == "play":
        answer = service.get(path + "a.ts")
    else:
        service.call("DELETE", f"/v1/users/{user}/sessions/of-the-grant")
        answer = service.segment(user, "s", "tiny", segment="a.ts")
    assert code(answer) == expected
    assert live(service, user) == 0
    assert "127.0.0.2" not in answer.body.decode()


def test_an_origin_that_says_nothing_keeps_nobodys_seat(service: Service, server: Origin, user: str) -> None:
    server.misbehave("/tiny/a.ts", does.hang)
    assert code(service.segment(user, "s", "tiny", segment="a.ts")) == (504, "origin-timeout")
    assert live(service, user) == 0


def test_a_segment_in_the_middle_of_which_the_origin_stops_is_never_confirmed(
    service: Service, server: Origin, user: str
) -> None:
    server.misbehave("/tiny/a.ts", does.stall)
    with pytest.raises(http.client.IncompleteRead):
        service.segment(user, "s", "tiny")
    wait_until(lambda: live(service, user) == 0, 5, "the seat")


@pytest.mark.parametrize("behave", [does.truncate, does.chunked_short])
def test_a_segment_that_is_broken_off_is_never_confirmed(
    service: Service, server: Origin, user: str, behave: does.Behaviour
) -> None:
    path = playback(service, user, "tiny")
    server.misbehave("/tiny/a.ts", behave)
    with pytest.raises(http.client.IncompleteRead):
        service.get(path + "a.ts")
    wait_until(lambda: live(service, user) == 0, 5, "the seat")
    server.mend()
    assert service.segment(user, "s2", "tiny").status == 200
    server.misbehave("/tiny/b.ts", behave)
    with pytest.raises(http.client.IncompleteRead):
        service.segment(user, "s2", "tiny")
    server.mend()
    again = service.segment(user, "s2", "tiny")
    assert again.headers["streamlimit-segment"] == "b.ts"


@pytest.mark.parametrize("behave", [does.chunked, does.gzipped])
def test_a_segment_without_a_length_arrives_whole_and_counts(
    service: Service, server: Origin, user: str, behave: does.Behaviour
) -> None:
    server.misbehave("/tiny/a.ts", behave)
    answer = service.get(playback(service, user, "tiny") + "a.ts")
    assert (answer.status, answer.body) == (200, content("a.ts"))
    assert answer.headers["transfer-encoding"] == "chunked"
    session = service.watching(user)["sessions"][0]
    assert (session["state"], session["segment"]) == ("active", "a.ts")


def test_a_redirect_within_the_origin_is_followed(service: Service, server: Origin, user: str) -> None:
    server.misbehave("/tiny/a.ts", does.redirect("/tiny/b.ts", 307))
    assert service.segment(user, "s", "tiny", segment="a.ts").body == content("b.ts")


def test_who_is_refused_costs_the_origin_nothing(service: Service, server: Origin, user: str) -> None:
    paths = [playback(service, user, "tiny", f"s{n}") for n in range(3)]
    fourth = service.post("/v1/sessions", {"user_id": user, "session_id": "s4", "stream_id": "tiny"})
    assert fourth.status == 409
    server.asked.clear()
    assert code(service.segment(user, "s4", "tiny", segment="a.ts")) == (409, "session-limit")
    assert "/tiny/a.ts" not in server.targets()
    assert service.get(paths[0] + "a.ts").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "../tiny/a.ts", "..%2ftiny%2fa.ts", "%2e%2e/tiny/a.ts", "..%5ctiny%5ca.ts", ".hidden.ts", "x/.%2e/a.ts",
        "a.ts%00", "%0d%0aHost:%20evil", "%2fetc%2fpasswd", "a.ts%e2%80%a8".replace("%e2%80%a8", "%c2%85"),
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_streams_folder(service: Service, server: Origin, user: str, path: str) -> None:
    found = playback(service, user, "tiny")
    server.asked.clear()
    answer = service.get(found + path)
    assert answer.status in (400, 403, 404)
    assert [target for target in server.targets() if "/tiny/" not in target or ".." in target] == []


@pytest.mark.parametrize("stream", ["..", ".", "a/b", "//127.0.0.2", "a\\b", "a\nb", "", "../tiny"])
def test_no_stream_id_leads_elsewhere(service: Service, server: Origin, user: str, stream: str) -> None:
    server.asked.clear()
    assert service.segment(user, "s", stream).status in (400, 404)
    assert server.asked == []


@pytest.mark.parametrize("stream", ["@127.0.0.2", "%2e%2e", "a%2fb", "x?y", "x#y", "user:pw@127.0.0.2", "https:"])
def test_an_odd_stream_id_is_one_name_below_the_origin(
    service: Service, server: Origin, user: str, stream: str
) -> None:
    assert code(service.segment(user, "s", stream)) == (404, "unknown-stream")
    assert server.asked
    assert all(target.startswith("/") and target.count("/") == 2 and ".." not in target for target in server.targets())


def test_a_stream_with_an_odd_name_plays(service: Service, server: Origin, user: str) -> None:
    answer = service.segment(user, "s", "odd", segment="100%.ts")
    assert (answer.status, answer.body) == (200, content("100%.ts"))
    assert service.get(playback(service, user, "odd") + "prvn%C3%AD%20d%C3%ADl.ts").body == content("první díl.ts")


def test_an_unknown_stream_is_looked_for_once_in_a_while(service: Service, server: Origin, user: str) -> None:
    name = "no-" + user
    for _ in range(5):
        assert code(service.segment(user, "s", name)) == (404, "unknown-stream")
    assert server.targets().count(f"/{name}/index.m3u8") == 1
    assert live(service, user) == 0


def _misbehave_for_every_name(server: Origin, stream: str, behave: does.Behaviour) -> None:
    for stem in ("master", "index", "main", "playlist", "manifest", "stream", stream):
        for suffix in (".m3u8", ".mpd"):
            server.misbehave(f"/{stream}/{stem}{suffix}", behave)


def test_a_name_is_looked_for_by_few_requests_at_once(service: Service, server: Origin, user: str) -> None:
    inside, most, changed = 0, 0, threading.Condition()

    def wait_for_more(handler: does.Handler, _content: bytes) -> None:
        nonlocal inside, most
        with changed:
            inside, most = inside + 1, max(most, inside + 1)
            changed.notify_all()
            changed.wait_for(lambda: most > 4, timeout=0.2)
            inside -= 1
        handler.answer(404, b"not here")

    _misbehave_for_every_name(server, "no-" + user, wait_for_more)
    assert code(service.segment(user, "s", "no-" + user)) == (404, "unknown-stream")
    assert 1 <= most <= 4


def test_an_origin_that_says_nothing_is_not_asked_for_every_name(service: Service, server: Origin, user: str) -> None:
    name = "mute-" + user
    _misbehave_for_every_name(server, name, does.hang)
    assert code(service.segment(user, "s", name)) == (504, "origin-timeout")
    assert sum(target.startswith(f"/{name}/") for target in server.targets()) <= 4


def test_a_stream_is_found_by_its_own_name_and_by_dash(service: Service, server: Origin, user: str) -> None:
    name = "own-" + user
    (server.folder / name).mkdir()
    (server.folder / name / f"{name}.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"
    )
    (server.folder / name / "a.ts").write_bytes(b"x" * 100)
    assert service.segment(user, "s", name).body == b"x" * 100
    dash = playback(service, user, "clock", "t")
    manifest = service.get(dash + "manifest.mpd")
    assert (manifest.status, b"<BaseURL>" in manifest.body) == (200, True)


def test_keys_and_inits_pass_without_a_seat_and_are_kept_for_a_moment(
    service: Service, server: Origin, user: str
) -> None:
    path = playback(service, user, "locked")
    for _ in range(3):
        assert service.get(path + "secret.key").body == b"k" * 16
    assert server.targets().count("/locked/secret.key") == 1
    assert service.watching(user)["sessions"][0]["state"] == "starting"


def test_absolute_uris_of_the_same_stream_lead_through_us_and_others_are_left_out(
    service: Service, server: Origin, user: str
) -> None:
    name = "abs-" + user
    (server.folder / name / "v").mkdir(parents=True)
    (server.folder / name / "master.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{server.url}/{name}/v/media.m3u8\n"
    )
    (server.folder / name / "v/media.m3u8").write_text(
        f'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI="/{name}/init.mp4"\n#EXTINF:2,\n{server.url}/{name}/v/1.m4s\n'
        f"#EXTINF:2,\nhttp://127.0.0.2:1/evil.m4s\n#EXTINF:2,\n/{name}/v/2.m4s\n#EXT-X-ENDLIST\n"
    )
    for file in ("init.mp4", "v/1.m4s", "v/2.m4s"):
        (server.folder / name / file).write_bytes(file.encode() * 9)
    assert service.segment(user, "s", name).headers["streamlimit-segment"] == "v/1.m4s"
    assert service.segment(user, "s", name).headers["streamlimit-segment"] == "v/2.m4s"
    path = playback(service, user, name)
    media = service.get(path + "v/media.m3u8").body.decode()
    assert server.url not in media
    assert "\n./1.m4s\n" in media.replace("../v/", "./")
    assert 'URI="../init.mp4"' in media
    assert service.get(path + "init.mp4").body == b"init.mp4" * 9


def test_ids_of_no_stream_are_kept_from_growing_the_origins_load_when_it_fails(
    service: Service, server: Origin, user: str
) -> None:
    name = "dead-" + user
    _misbehave_for_every_name(server, name, does.status(500))
    assert code(service.segment(user, "s", name)) == (502, "origin-failed")
    assert code(service.segment(user, "s", name)) == (502, "origin-failed")
    assert server.targets().count(f"/{name}/index.m3u8") == 1


def test_what_is_logged_of_a_failing_origin_is_in_words(service: Service, server: Origin, user: str) -> None:
    server.misbehave("/tiny/a.ts", does.status(500))
    service.segment(user, "s", "tiny", segment="a.ts")
    lines = [line for line in service.log().splitlines() if '"origin-failed"' in line]
    assert "/tiny/a.ts: the origin answers with status 500" in lines[-1]
    assert "Traceback" not in service.log()


def test_at_an_edge_no_end_of_its_name_makes_a_segment_free(server: Origin, user: str) -> None:
    with (
        temporary_folder() as folder,
        started(folder, streams=server.url, trusted_proxies=["127.0.0.1"]) as service,
    ):
        viewer = Viewer(service, user, "s", "tiny")
        assert "streamlimit-segment" not in viewer.ask("poster.jpg").headers
        for name in ("a.ts?b.jpg", "a.ts%3Fb.jpg", "a.ts%23.m3u8"):
            assert viewer.ask(name.replace("%", "%25").replace("?", "%3F")).headers["streamlimit-segment"], name
