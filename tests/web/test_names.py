"""Users, sessions, streams and files of the names that people, providers and file systems give them."""

# ruff: noqa: E501  (lists of inputs read better with as many on a line as fit)

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.service import OPERATOR_KEY, Service, started, temporary_folder
from tests.web.folders import content, make_streams

CASES = Path(__file__).parent.parent / "cases"
FOLDERS = ["Big Buck Bunny (2008)", "été", "e\u0301te\u0301", "100% #1?", "映画\u3000(日本)", "~a+b=c;d,e&f@g$h!*'"]
USERS = ["auth0|507f1f77bcf86cd799439011", "ada+tv@example.org", "Zoë \N{CLAPPER BOARD}", "%41", "é" * 128, "a?b#c&d"]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_streams(folder / "streams")
        for each in FOLDERS:
            shutil.copytree(streams / "odd", streams / each)
        for case in ("unprintable-file-names", "double-slash", "backslash"):
            shutil.copytree(CASES / case / "streams", streams, dirs_exist_ok=True)
        with started(folder, streams=str(streams), segment_seconds=60) as service:
            yield service
            assert "Traceback" not in service.log()


def _path(user: str, *more: str) -> str:
    return "/".join(["/v1/users", *(quote(part, safe="") for part in (user, *more))])


def _played(service: Service, user: str, session: str, stream: str) -> list[tuple[str, bytes]]:
    """All segments, as a player gets them that changes nothing of a URI but to encode it."""
    opened = service.post("/v1/sessions", {"user_id": user, "session_id": session, "stream_id": stream})
    assert opened.status == 201, opened.json
    url: str = opened.json["playback_url"]
    assert url.isascii()
    assert not set(url) & set(' "<>\\^`{}|#?')
    [playlist] = _named(service, url)
    assert "~" in playlist.split("/")[2], "a play of its own"
    found = []
    for path in _named(service, playlist):
        answer = service.get(path)
        assert answer.status == 200, (path, answer.body)
        found.append((answer.headers["streamlimit-segment"], answer.body))
    return found


def _named(service: Service, url: str) -> list[str]:
    """What the playlist at *url* names. An empty part of a path is a part: `urljoin` would leave it out."""
    playlist = service.get(url)
    assert playlist.status == 200, (url, playlist.body)
    found = []
    for line in playlist.body.decode().splitlines():
        if line and not line.startswith("#"):
            base, uri = url.split("/")[:-1], line
            while uri.startswith("../"):
                base, uri = base[:-1], uri.removeprefix("../")
            found.append(quote("/".join([*base, uri]), safe="/%~:@!$&'()*+,;=\\|"))
    return found


@pytest.mark.parametrize("stream", FOLDERS)
def test_a_folder_of_nearly_any_name_is_a_stream(service: Service, stream: str) -> None:
    played = _played(service, stream, "tv", stream)
    assert [body for _, body in played] == [content("první díl.ts"), content("100%.ts")]
    assert [name for name, _ in played] == ["prvn%C3%AD%20d%C3%ADl.ts", "100%25.ts"]
    assert service.get(_path(stream, "sessions", "tv")).json["stream_id"] == stream
    assert service.segment(stream, "tv", stream, segment="100%.ts").body == content("100%.ts")
    shown = service.get(f"/v1/sessions?stream_id={quote(stream, safe='')}", key=OPERATOR_KEY).json["sessions"]
    assert [each["stream_id"] for each in shown] == [stream]
    assert stream in [each["stream_id"] for each in service.get("/v1/streams").json["streams"]]


@pytest.mark.parametrize("stream", ["jp", "h-zwnj", "h-double-slash", "h-backslash"])
def test_files_of_the_names_that_file_systems_allow_are_played(service: Service, stream: str) -> None:
    played = _played(service, stream, "tv", stream)
    assert len({body for _, body in played}) == len(played) == 2
    assert all(name.isascii() for name, _ in played)


@pytest.mark.parametrize("user", USERS)
def test_users_and_sessions_of_nearly_any_name(service: Service, user: str) -> None:
    session = user[::-1]
    assert service.segment(user, session, "tiny").status == 200
    one = _path(user, "sessions", session)
    assert service.get(one).json["session_id"] == session
    beats = [service.post(one + "/heartbeat", {"stream_id": "tiny"}) for _ in range(3)]
    assert [(beat.status, beat.json["user_id"], beat.json["session_id"]) for beat in beats] == [
        (200, user, session)
    ] * 3
    listed = service.get(_path(user, "sessions")).json
    assert [each["session_id"] for each in listed["sessions"]] == [session]
    found = service.get(f"/v1/sessions?user_id={quote(user, safe='')}", key=OPERATOR_KEY).json["sessions"]
    assert [(each["user_id"], each["session_id"]) for each in found] == [(user, session)]
    assert service.call("PUT", _path(user, "limit"), {"max_sessions": 1}, key=OPERATOR_KEY).json["user_id"] == user
    refused = service.segment(user, "another", "tiny")
    assert (refused.status, refused.json["sessions"][0]["session_id"]) == (409, session)
    assert service.call("DELETE", one + "?reason=x", key=OPERATOR_KEY).status == 204
    assert service.segment(user, session, "tiny").status == 410
    told = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    assert (user, session) in {(line.get("user_id"), line.get("session_id")) for line in told}


def test_ids_that_look_alike_are_others(service: Service) -> None:
    for user in ("é", "e\u0301", "%C3%A9", "É", "é "):
        service.segment(user, "tv", "tiny")
    for user in ("é", "e\u0301", "%C3%A9", "É", "é "):
        assert service.watching(quote(user, safe=""))["user_id"] == user
        assert service.watching(quote(user, safe=""))["live_sessions"] == 1


def test_metrics_and_numbers_tell_streams_by_their_names(service: Service) -> None:
    service.segment("mia", "tv", "Big Buck Bunny (2008)")
    assert service.get("/metrics", key=OPERATOR_KEY).status == 200
    assert service.get("/v1/stats", key=OPERATOR_KEY).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2ftiny/a.ts", "%2e%2e/tiny/a.ts", "..%5ctiny%5ca.ts", "..\\tiny\\a.ts", "%2e%2e%5c%2e%2e%5ctiny%5ca.ts", "//..//tiny/a.ts",
        "%c0%ae%c0%ae/tiny/a.ts", "chunks/..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "//etc/passwd", "a.ts%00", "a%0a.ts",
        "..%c0%af..%c0%afetc/passwd", "%252e%252e/tiny/a.ts", "chunks/.%2e/.%2e/tiny/a.ts", "....//tiny/a.ts",
    ],
)  # fmt: skip
def test_nothing_leads_out_of_the_stream(service: Service, path: str) -> None:
    grant = service.post("/v1/sessions", {"user_id": "eve", "session_id": "tv", "stream_id": "h-double-slash"}).json[
        "grant"
    ]
    answer = service.get(f"/play/{grant}/h-double-slash/{path}")
    assert (answer.status, answer.json["code"]) == (404, "unknown-segment")


def test_an_id_of_a_url_is_told_which_character_it_must_not_have(service: Service) -> None:
    for path in ("/v1/users/https:%2F%2Fid.example%2Fada/sessions", "/v1/users/ada/sessions/a%2Fb"):
        answer = service.get(path)
        assert (answer.status, answer.json["code"]) == (400, "malformed")
        assert answer.json["detail"].endswith("holds a slash (/), which is in no id")
    assert service.get("/v1/users/ada/sessions/a%2Fb").json["field"] == "session_id"


def test_the_playback_url_says_nothing_that_a_proxy_could_read_otherwise(service: Service) -> None:
    opened: Any = service.post("/v1/sessions", {"user_id": "ann", "session_id": "s2", "stream_id": "100% #1?"}).json
    parts = urlsplit(opened["playback_url"])
    assert (parts.query, parts.fragment) == ("", "")
    assert parts.path.split("/")[3] == "100%25%20%231%3F"
