"""`GET /play/<grant>/<stream_id>/<path>`: what ordinary players ask for, and what they may try."""

import http.client
import json
import secrets
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from streamlimit.web.grants import Grants
from tests.service import Answer, Service, started, temporary_folder, wait_until
from tests.web.folders import (
    INIT_BYTES,
    PACKED_SEGMENT_BYTES,
    SEGMENT_BYTES,
    content,
    make_streams,
    packed_range,
)

OLD_KEY, NEW_KEY = "the-old-key-of-the-grants", "the-new-key-of-the-grants"
VIDEO = "orchard/video-180p/seg-00001.m4s"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_streams(folder / "streams")
        (folder / "streams" / "outside.ts").write_bytes(b"outside any stream")
        (folder / "secret.ts").write_bytes(b"outside the folder")
        (streams / "tiny" / "out.ts").symlink_to(folder / "secret.ts")
        (streams / "tiny" / ".hidden.ts").write_bytes(b"hidden")
        (streams / "tiny" / "stray.ts").write_bytes(content("stray.ts"))
        (streams / "tiny" / "notes.txt").write_bytes(b"notes")
        (streams / "tiny" / "source.mpeg").write_bytes(content("source.mpeg"))
        (streams / "tiny" / "renamed.txt").write_bytes((b"G" + bytes(187)) * 32)
        (streams / "tiny" / "empty.ts").write_bytes(b"")
        (folder / "run").mkdir()
        settings: dict[str, Any] = {"segment_seconds": 6, "grant_keys": [NEW_KEY, OLD_KEY]}
        with started(folder / "run", streams=str(streams), **settings) as service:
            yield service


class Player:
    """One session with its grant."""

    def __init__(self, service: Service, user: str, session: str) -> None:
        self.service, self.user, self.session = service, user, session
        self.grant = Grants([NEW_KEY], 3_600).sign(user, session)

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.service.call(method, f"/play/{self.grant}/{path}", headers=named)

    def ranged(self, path: str, what: str, **headers: str) -> Answer:
        return self.get(path, Range=f"bytes={what}", **headers)

    def shown(self) -> dict[str, Any] | None:
        sessions = self.service.watching(self.user)["sessions"]
        return next((s for s in sessions if s["session_id"] == self.session), None)


@pytest.fixture
def player(service: Service) -> Player:
    return Player(service, "u-" + secrets.token_hex(4), "s")


def full_house(service: Service) -> Player:
    """The fourth player of a user whose three seats are taken."""
    user = "u-" + secrets.token_hex(4)
    for session in "abc":
        assert service.segment(user, session, "tiny").status == 200
    return Player(service, user, "d")


# What takes a seat


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("orchard/video-180p.m3u8", "application/vnd.apple.mpegurl"),
        ("orchard/video-180p/init.mp4", "video/mp4"),
        ("orchard/audio/init.mp4", "video/mp4"),
        ("locked/secret.key", "application/octet-stream"),
        ("tiny/notes.txt", "application/octet-stream"),
    ],
)
def test_what_is_no_media_is_served_without_a_seat(player: Player, path: str, media_type: str) -> None:
    answer = player.get(path)
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(len(answer.body)) != "0"
    assert player.shown() is None


@pytest.mark.parametrize("path", ["orchard/master.m3u8", "orchard/manifest.mpd", "orchard/audio/init.mp4",
                                  "locked/secret.key", VIDEO])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_could_not_be_issued_a_segment_is_refused_everything(service: Service, path: str, method: str) -> None:
    fourth = full_house(service)
    answer = fourth.get(path, method)
    assert answer.status == 409
    assert answer.headers["content-type"] == "application/problem+json"
    if method == "GET":
        assert (answer.json["code"], answer.json["live_sessions"]) == ("session-limit", 3)


def test_playlists_are_no_activity(player: Player) -> None:
    player.get("tiny/a.ts")
    before = player.shown()
    for path in ("tiny/index.m3u8", "orchard/master.m3u8", "orchard/video-180p/init.mp4"):
        assert player.get(path).status == 200
    assert player.shown() == before


def test_a_media_segment_takes_a_seat_and_is_activity(player: Player) -> None:
    answer = player.get("tiny/b.ts")
    assert (answer.status, answer.body) == (200, content("b.ts"))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["streamlimit-segment"] == "b.ts"
    assert answer.headers["streamlimit-sequence"] == "1"
    assert answer.headers["streamlimit-limit"] == "3"
    assert answer.headers["streamlimit-live-sessions"] == "1"
    shown = player.shown()
    assert shown is not None
    assert (shown["state"], shown["segment"], shown["sequence"]) == ("active", "b.ts", 1)


@pytest.mark.parametrize("name", ["stray.ts", "source.mpeg", "renamed.txt"])
def test_media_that_no_playlist_lists_takes_a_seat_too(player: Player, name: str) -> None:
    assert player.get(f"tiny/{name}").status == 200
    assert player.shown() is not None
    assert full_house(player.service).get(f"tiny/{name}").status == 409


def test_an_empty_file_does_no_harm(player: Player) -> None:
    answer = player.get("tiny/empty.ts")
    assert (answer.status, answer.body) == (200, b"")
    assert player.ranged("tiny/empty.ts", "0-").status == 416


def test_audio_and_video_of_one_session_are_one_seat(player: Player) -> None:
    for path in (VIDEO, "orchard/audio/seg-00001.m4s", "orchard/video-90p/seg-00002.m4s"):
        assert player.get(path).status == 200
    assert player.service.watching(player.user)["live_sessions"] == 1


def test_a_move_by_url_keeps_the_seat(player: Player) -> None:
    player.get(VIDEO)
    assert player.get("tiny/a.ts").status == 200
    shown = player.shown()
    assert shown is not None
    assert shown["stream_id"] == "tiny"


# Ranges of a segment that is a file of its own


@pytest.mark.parametrize(
    ("what", "first", "last"),
    [
        ("0-99", 0, 99),
        ("100-", 100, SEGMENT_BYTES - 1),
        ("-100", SEGMENT_BYTES - 100, SEGMENT_BYTES - 1),
        ("-999999", 0, SEGMENT_BYTES - 1),
        ("0-0", 0, 0),
        (f"{SEGMENT_BYTES - 1}-", SEGMENT_BYTES - 1, SEGMENT_BYTES - 1),
        ("10-9999999999999999999", 10, SEGMENT_BYTES - 1),
    ],
)
def test_one_range(player: Player, what: str, first: int, last: int) -> None:
    answer = player.ranged("tiny/a.ts", what)
    assert answer.status == 206
    assert answer.body == content("a.ts")[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SEGMENT_BYTES}"
    assert answer.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize(
    "header",
    ["bytes=0-1,5-6", "bytes=5-4", "bytes=", "bytes=-", "bytes=a-b", "items=0-5", "bytes 0-5", "0-5", "bytes=--5",
     "bytes=0-5-9", "bytes=+0-5", "bytes=0x0-5", "bytes=٠-٥", "bytes=" + "9" * 30 + "-", "", "=", "bytes=1.5-2"],
)  # fmt: skip
def test_what_is_not_one_valid_range_gets_the_whole_file(player: Player, header: str) -> None:
    answer = player.get("tiny/a.ts", Range=header.encode().decode("latin-1"))
    assert (answer.status, answer.body) == (200, content("a.ts"))
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("what", [f"{SEGMENT_BYTES}-", "99999999-", "-0", f"{SEGMENT_BYTES}-{SEGMENT_BYTES + 5}"])
def test_a_range_beyond_the_file(player: Player, what: str) -> None:
    answer = player.ranged("tiny/a.ts", what)
    assert (answer.status, answer.json["code"]) == (416, "range-not-satisfiable")
    assert answer.headers["content-range"] == f"bytes */{SEGMENT_BYTES}"
    assert player.shown() is None


def test_a_range_that_completes_the_segment_confirms_it(player: Player) -> None:
    player.ranged("tiny/b.ts", "0-2999")
    assert player.ranged("tiny/b.ts", "3000-").status == 206
    shown = player.shown()
    assert shown is not None
    assert (shown["state"], shown["segment"]) == ("active", "b.ts")


def test_a_range_that_does_not_complete_it_confirms_nothing(player: Player) -> None:
    assert player.ranged("tiny/b.ts", "0-5998").status == 206
    assert player.shown() is None

    player.get("tiny/a.ts")
    before = player.shown()
    assert player.ranged("tiny/b.ts", "0-5998").status == 206
    assert player.shown() == before


def test_who_always_leaves_the_last_byte_out_is_taken_for_a_player(player: Player) -> None:
    """Else it would watch all of it, each segment but for a byte, and never be on record."""
    segments = [f"orchard/video-90p/seg-{number:05}.m4s" for number in range(1, 6)]
    sizes = [int(player.get(path, "HEAD").headers["content-length"]) for path in segments]
    for path, size in zip(segments, sizes, strict=True):
        assert player.ranged(path, f"0-{size - 2}").status == 206
    shown = player.shown()
    assert shown is not None
    assert (shown["state"], shown["segment"]) == ("active", None)


def test_who_does_so_with_a_new_session_for_each_is_taken_for_a_player_too(player: Player) -> None:
    for number in range(1, 7):
        path = f"orchard/video-90p/seg-{number:05}.m4s"
        size = int(player.get(path, "HEAD").headers["content-length"])
        Player(player.service, player.user, f"s-{number}").ranged(path, f"0-{size - 2}")
    assert player.service.watching(player.user)["live_sessions"] == 3


def test_a_player_that_seeks_now_and_then_leaves_nothing_behind(player: Player) -> None:
    for number in range(1, 9):
        player.ranged(f"orchard/video-90p/seg-{number:05}.m4s", "0-99")
        if number % 3 == 0:  # it settles somewhere, then stops
            player.get(f"orchard/video-90p/seg-{number:05}.m4s")
            player.service.call("DELETE", f"/v1/users/{player.user}/sessions/{player.session}")
    assert player.shown() is None


def test_who_has_no_seat_gets_no_range_of_media_either(service: Service) -> None:
    assert full_house(service).ranged("tiny/a.ts", "0-0").status == 409


# Ranges of one file with all segments in it


def test_a_range_confirms_the_segments_that_it_completes(player: Player) -> None:
    first, last = packed_range(1)[0], packed_range(2)[1]
    answer = player.ranged("packed/all.mp4", f"{first}-{last}")
    assert (answer.status, len(answer.body)) == (206, 2 * PACKED_SEGMENT_BYTES)
    assert answer.headers["streamlimit-sequence"] == "2"
    shown = player.shown()
    assert shown is not None
    assert shown["sequence"] == 2


def test_a_range_up_to_the_middle_of_a_segment_confirms_those_before(player: Player) -> None:
    answer = player.ranged("packed/all.mp4", f"{packed_range(0)[0]}-{packed_range(1)[1] - 1}")
    assert answer.status == 206
    shown = player.shown()
    assert shown is not None
    assert shown["sequence"] == 0


def test_a_range_within_one_segment_confirms_nothing(player: Player) -> None:
    first, last = packed_range(0)
    assert player.ranged("packed/all.mp4", f"{first}-{last - 1}").status == 206
    assert player.shown() is None


@pytest.mark.parametrize("what", [f"0-{INIT_BYTES - 1}", "0-0", "10-20"])
def test_a_range_within_the_init_takes_no_seat(player: Player, what: str) -> None:
    answer = player.ranged("packed/all.mp4", what)
    assert answer.status == 206
    assert "streamlimit-segment" not in answer.headers
    assert player.shown() is None
    assert full_house(player.service).ranged("packed/all.mp4", what).status == 409


def test_a_range_that_leaves_the_init_is_media(player: Player) -> None:
    assert player.ranged("packed/all.mp4", f"0-{packed_range(0)[1]}").status == 206
    shown = player.shown()
    assert shown is not None
    assert shown["sequence"] == 0


def test_an_unranged_request_confirms_segment_by_segment_as_bytes_arrive(service: Service) -> None:
    player = Player(service, "u-" + secrets.token_hex(4), "s")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", service.port))
        connection.sendall(f"GET /play/{player.grant}/packed/all.mp4 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.recv(1)
        shown = player.shown()
        assert shown is not None
        assert (shown["state"], shown["segment"]) == ("starting", None)
        _read(connection, packed_range(1)[0] + 2_000)

        def has_first() -> bool:
            _read(connection, 500)  # it keeps arriving, slowly
            return (player.shown() or {}).get("sequence") == 0

        wait_until(has_first, 10, "the first segment's receipt")
        connection.settimeout(1)
        _read_all(connection)
        wait_until(lambda: (player.shown() or {}).get("sequence") == 3, 10, "the last segment's receipt")


def _read_all(connection: socket.socket) -> None:
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        pass


def _read(connection: socket.socket, size: int) -> None:
    while size > 0:
        part = connection.recv(min(size, 65_536))
        assert part
        size -= len(part)


# Conditions, HEAD, CORS


def test_head_says_what_get_would_and_neither_seats_nor_confirms(player: Player) -> None:
    head = player.get("tiny/a.ts", "HEAD")
    assert player.shown() is None
    get = player.get("tiny/a.ts")
    for name in ("content-type", "content-length", "etag", "accept-ranges", "cache-control"):
        assert head.headers[name] == get.headers[name]
    assert (head.status, head.body) == (200, b"")
    before = player.shown()
    player.get("tiny/b.ts", "HEAD")
    assert player.shown() == before


@pytest.mark.parametrize("what", ["0-9", "99999999-"])
def test_a_range_is_for_get_alone(player: Player, what: str) -> None:
    head = player.get("tiny/a.ts", "HEAD", Range=f"bytes={what}")
    assert (head.status, head.headers["content-length"]) == (200, str(SEGMENT_BYTES))


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*", '"x",W/{}'])
def test_what_the_player_has_already_is_not_sent_and_takes_no_seat(player: Player, form: str) -> None:
    etag = player.get("tiny/a.ts", "HEAD").headers["etag"]
    answer = player.get("tiny/a.ts", If_None_Match=form.format(etag))
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == etag
    assert "content-type" not in answer.headers
    assert player.shown() is None


def test_another_etag_gets_the_file(player: Player) -> None:
    assert player.get("tiny/a.ts", If_None_Match='"x"').status == 200


def test_if_none_match_comes_before_the_range(player: Player) -> None:
    etag = player.get("tiny/a.ts", "HEAD").headers["etag"]
    assert player.get("tiny/a.ts", If_None_Match=etag, Range="bytes=99999999-").status == 304


def test_if_range_of_this_version_gets_the_range(player: Player) -> None:
    etag = player.get("tiny/a.ts", "HEAD").headers["etag"]
    assert player.ranged("tiny/a.ts", "0-9", If_Range=etag).status == 206


@pytest.mark.parametrize("version", ['"x"', "Tue, 01 Jan 2030 00:00:00 GMT", "W/{}", "", "{}x"])
def test_if_range_of_another_version_gets_the_whole(player: Player, version: str) -> None:
    etag = player.get("tiny/a.ts", "HEAD").headers["etag"]
    answer = player.ranged("tiny/a.ts", "0-9", If_Range=version.format(etag))
    assert (answer.status, len(answer.body)) == (200, SEGMENT_BYTES)


def test_a_page_of_another_origin_may_play(player: Player) -> None:
    answer = player.get("tiny/a.ts", Origin="https://player.example")
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = answer.headers["access-control-expose-headers"]
    assert all(name in exposed for name in ("Streamlimit-Segment", "Content-Range", "ETag", "Retry-After"))
    refused = full_house(player.service).get("tiny/a.ts", Origin="https://player.example")
    assert refused.headers["access-control-allow-origin"] == "*", "else the page cannot read why"


def test_the_preflight(player: Player) -> None:
    answer = player.get(
        "tiny/a.ts",
        "OPTIONS",
        Origin="https://player.example",
        Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="range, x-anything",
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "range, x-anything"
    assert player.shown() is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_get_and_head(player: Player, method: str) -> None:
    answer = player.get("tiny/a.ts", method)
    assert (answer.status, answer.json["code"]) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert player.shown() is None


# Paths

ODD_PATHS = [
    "tiny/../orchard/master.m3u8", "tiny/..%2forchard/master.m3u8", "tiny/%2e%2e/orchard/master.m3u8",
    "tiny/%2e%2e%2f%2e%2e%2fsecret.ts", "tiny/../outside.ts", "tiny/..", "tiny/.", "tiny/./a.ts", "tiny//a.ts",
    "tiny/a.ts/", "tiny/", "tiny", "", "/", "//", "../..", "%2e%2e/secret.ts", "tiny/..\\secret.ts",
    "tiny/%5c..%5csecret.ts", "tiny/a.ts%00", "tiny/%00", "tiny/a.ts%0a", "tiny/%0d%0aX: y", "tiny/out.ts",
    "tiny/.hidden.ts", "tiny/A.TS", "tiny/a.ts%20", "tiny/%ff%fe", "tiny/" + "x" * 300, "tiny/" + "x" * 3000,
    "tiny/" + "x/" * 700, "tiny/" + "../" * 50 + "etc/passwd", "tiny//etc/passwd", "tiny/%2fetc%2fpasswd",
    "tiny/file:///etc/passwd", "tiny/%252e%252e/secret.ts", "tiny/..;/secret.ts", "tiny/a.ts;x", "tiny/a.ts%3fx",
    "tiny/~root/a.ts", "tiny/nul", "tiny/%E2%80%AE", "tiny/%F0%9F%8E%AC.ts", "TINY/a.ts", "outside.ts",
    "outside.ts/a.ts", "nothing/a.ts", "%00/a.ts", "tiny%00/a.ts", "../tiny/a.ts", "./tiny/a.ts",
    "orchard/video-180p", "orchard/video-180p/", "orchard/video-180p/../master.m3u8", "tiny/%c0%ae%c0%ae/secret.ts",
    "tiny/\u202e", "tiny/proc/self/environ", "streamlimit.db", "tiny/../../run/streamlimit.db",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD_PATHS, ids=[str(i) for i in range(len(ODD_PATHS))])
def test_odd_paths_are_not_found(player: Player, path: str) -> None:
    target = f"/play/{player.grant}/" + quote(path, safe="/%:;\\~")
    connection = http.client.HTTPConnection("127.0.0.1", player.service.port, timeout=10)
    connection.putrequest("GET", target)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 404, body[:200]
    assert json.loads(body)["code"] in ("not-found", "unknown-stream", "unknown-segment")
    assert player.shown() is None
    assert player.service.process.poll() is None


# Grants


def test_a_grant_signed_with_an_older_key_is_good(service: Service) -> None:
    grant = Grants([OLD_KEY], 3_600).sign("u-" + secrets.token_hex(4), "s")
    assert service.get(f"/play/{grant}/{VIDEO}").status == 200


def test_new_grants_are_signed_with_the_first_key(service: Service) -> None:
    opened = service.post("/v1/sessions", {"user_id": "u-" + secrets.token_hex(4), "stream_id": "tiny"})
    assert Grants([NEW_KEY], 1).verify(opened.json["grant"]).session_id == opened.json["session"]["session_id"]


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _forgeries() -> list[str]:
    head, claims, signature = Grants([NEW_KEY], 3_600).sign("victim", "s").split(".")
    headers = [
        b"{}", b"[]", b"null", b"1", b'"x"', b"", b"\xff", b"[" * 3_000, b'{"alg":"none"}', b'{"alg":"HS256"}',
        b'{"alg":"HS512"}', b'{"alg":"HS256","kid":null}', b'{"alg":"HS256","kid":["a"]}', b'{"alg":["HS256"]}',
        b'{"alg":"HS256","b64":false,"crit":["b64"]}', b'{"alg":"HS256","crit":["x"],"x":1}',
        b'{"alg":"RS256"}', b'{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}',
    ]  # fmt: skip
    others = _b64(b'{"u":"other","s":"s","exp":9999999999}')
    return [
        Grants(["a key that is not ours"], 3_600).sign("victim", "s"),
        *(f"{_b64(h)}.{claims}.{signature}" for h in headers),
        f"{head}.{others}.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{head}..{signature}",
        f".{claims}.{signature}",
        f"{head}.{claims}.{signature[:-2]}",
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{claims}.{signature}.x",
        f"{head}.{claims}.{signature}.x.y",
        _b64(b'{"alg":"dir","enc":"A128GCM"}') + "....",
        _b64(b'{"alg":"none"}') + f".{claims}.",
        "x", ".", "..", "...", "null", "%C3%A9.%C3%A9.%C3%A9", "%00", "%ff", "a" * 5_000, "{}", " ", "-",
        "operator-key-of-the-tests",
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(_forgeries())))
def test_a_grant_that_is_not_ours_is_refused(service: Service, number: int) -> None:
    forged = quote(_forgeries()[number], safe="%")
    answer = service.get(f"/play/{forged}/{VIDEO}")
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert service.watching("victim")["live_sessions"] == 0
    assert service.watching("other")["live_sessions"] == 0


def test_who_has_no_good_grant_is_not_told_what_there_is(service: Service) -> None:
    answers = [service.get(f"/play/x.y.z/{path}").body for path in (VIDEO, "nothing/a.ts", "tiny/nothing.ts")]
    assert len(set(answers)) == 1


def test_an_expired_grant_starts_nothing(service: Service) -> None:
    user = "u-" + secrets.token_hex(4)
    grant = Grants([NEW_KEY], -5).sign(user, "s")
    for path in (VIDEO, "orchard/master.m3u8"):
        answer = service.get(f"/play/{grant}/{path}")
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    form = {"user_id": user, "session_id": "s", "stream_id": "orchard"}
    assert service.post("/v1/segments", form, key=grant).status == 401
    assert service.post("/v1/sessions", form, key=grant).status == 401
    beat = service.post(f"/v1/users/{user}/sessions/s/heartbeat", {"stream_id": "orchard"}, key=grant)
    assert beat.status == 401
    assert service.watching(user)["live_sessions"] == 0


def test_a_session_that_sits_goes_on_with_an_expired_grant(service: Service) -> None:
    user = "u-" + secrets.token_hex(4)
    grant = Grants([NEW_KEY], -5).sign(user, "s")
    service.segment(user, "s", "orchard")
    for path in (VIDEO, "orchard/master.m3u8", "tiny/a.ts"):
        assert service.get(f"/play/{grant}/{path}").status == 200


def test_grant_seconds_bounds_starting(tmp_path: Path) -> None:
    with started(tmp_path, grant_seconds=1, start_seconds=0.2, segment_seconds=6) as service:
        form = {"user_id": "u", "stream_id": "orchard"}
        sitting, late = (service.post("/v1/sessions", form | {"session_id": s}).json["grant"] for s in "ab")
        until = time.monotonic() + 1
        assert service.get(f"/play/{sitting}/{VIDEO}").status == 200
        wait_until(lambda: time.monotonic() > until, 5, "the grants' expiry")
        assert service.get(f"/play/{late}/{VIDEO}").status == 401
        assert service.get(f"/play/{sitting}/{VIDEO}").status == 200


def test_a_grant_lives_as_long_as_it_says_and_no_second_less() -> None:
    grants = Grants([NEW_KEY], 0.7)
    before = time.time()
    grant = grants.verify(grants.sign("u", "s"))
    assert before + 0.698 < grant.expires_at < time.time() + 0.702


def test_a_grant_is_for_its_own_user_and_session(service: Service) -> None:
    """The user and the session that count are the grant's; nothing in the URL can say otherwise."""
    mine = Player(service, "u-" + secrets.token_hex(4), "s")
    service.get(f"/play/{mine.grant}/{VIDEO}?user_id=victim&session_id=t")
    shown = mine.shown()
    assert shown is not None
    assert service.watching("victim")["live_sessions"] == 0
