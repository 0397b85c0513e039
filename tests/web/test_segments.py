"""Endpoint 1, `POST /v1/segments`, as docs/reference/calls.md has it."""

import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until
from tests.web.folders import SEGMENT_BYTES, content, make_streams, packed_range

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_streams(folder / "streams")
        make_gaps(streams, folder / "nas")
        make_torn(streams / "torn")
        (folder / "run").mkdir()
        with started(folder / "run", streams=str(streams), segment_seconds=6, start_seconds=60) as service:
            yield service


def make_gaps(streams: Path, elsewhere: Path) -> None:
    """`gaps` misses its first, third, and last segment, `wide` all but its first, `linked` has only links out."""
    shutil.copytree(elsewhere.parent / "streams/tiny", elsewhere)
    for name, lost, count in (("gaps", (0, 2, 5), 6), ("wide", range(1, 30), 30), ("linked", range(3), 3)):
        names = [f"{n}.ts" for n in range(count)]
        lines = "".join(f"#EXTINF:2.0,\n{name}\n" for name in names)
        (streams / name).mkdir()
        (streams / name / "index.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{lines}#EXT-X-ENDLIST\n")
        for n in range(count):
            if n not in lost:
                (streams / name / names[n]).write_bytes(content(names[n]))
            elif name == "linked":
                (streams / name / names[n]).symlink_to(elsewhere / "a.ts")


def make_torn(folder: Path) -> None:
    """Three segments of 1,000 bytes by its playlist, of a file that ends in the middle of the second one."""
    folder.mkdir()
    lines = "".join(f"#EXTINF:2.0,\n#EXT-X-BYTERANGE:1000@{n}000\nall.ts\n" for n in range(3))
    (folder / "index.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{lines}#EXT-X-ENDLIST\n")
    (folder / "all.ts").write_bytes(bytes(1_500))


def missing(service: Service, stream_id: str) -> list[dict[str, Any]]:
    """What the log says of the stream's files."""
    lines = [json.loads(line) for line in service.log().splitlines() if '"file_missing"' in line]
    return [line for line in lines if line["stream_id"] == stream_id]


# Which segment


def test_without_a_name_a_new_session_gets_the_first_segment_and_then_each_next(service: Service, user: str) -> None:
    for sequence, name in enumerate(["a.ts", "b.ts", "c.ts"]):
        answer = service.segment(user, "s", "tiny")
        assert answer.status == 200
        assert answer.body == content(name)
        assert answer.headers["streamlimit-segment"] == name
        assert answer.headers["streamlimit-sequence"] == str(sequence)


def test_the_first_variants_video_is_meant(service: Service, user: str) -> None:
    answer = service.segment(user, "s", "orchard")
    assert answer.headers["streamlimit-segment"] == "video-180p/seg-00001.m4s"
    assert answer.headers["content-type"] == "video/iso.segment"


def test_a_named_segment_is_issued_and_the_next_one_follows_it(service: Service, user: str) -> None:
    named = service.segment(user, "s", "tiny", segment="b.ts")
    assert (named.status, named.body, named.headers["streamlimit-sequence"]) == (200, content("b.ts"), "1")
    assert service.segment(user, "s", "tiny").body == content("c.ts")


def test_a_segment_within_a_file_is_named_by_its_range(service: Service, user: str) -> None:
    first, last = packed_range(1)
    service.segment(user, "s", "packed")
    answer = service.segment(user, "s", "packed")
    assert answer.headers["streamlimit-segment"] == f"all.mp4@{first}-{last}"
    assert answer.headers["content-length"] == str(last - first + 1)
    again = service.segment(user, "s", "packed", segment=f"all.mp4@{first}-{last}")
    assert again.body == answer.body


def test_any_rendition_may_be_named(service: Service, user: str) -> None:
    service.segment(user, "s", "orchard", segment="video-90p/seg-00003.m4s")
    audio = service.segment(user, "s", "orchard", segment="audio/seg-00003.m4s")
    assert audio.status == 200
    assert service.segment(user, "s", "orchard").headers["streamlimit-segment"] == "video-180p/seg-00004.m4s"
    assert service.watching(user)["live_sessions"] == 1


def test_a_segment_of_an_odd_name_can_be_named_as_it_is(service: Service, user: str) -> None:
    answer = service.segment(user, "s", "odd", segment="první díl.ts")
    assert (answer.status, answer.body) == (200, content("první díl.ts"))
    assert answer.headers["streamlimit-segment"] == "prvn%C3%AD%20d%C3%ADl.ts"
    following = service.segment(user, "s", "odd")
    assert following.body == content("100%.ts")
    assert following.headers["streamlimit-segment"] == "100%25.ts"
    spelled = answer.headers["streamlimit-segment"]
    assert service.segment(user, "s", "odd", segment=spelled).body == content("první díl.ts")


def test_the_same_request_twice_is_one_seat_and_the_same_answer(service: Service, user: str) -> None:
    first = service.segment(user, "s", "tiny", segment="a.ts")
    second = service.segment(user, "s", "tiny", segment="a.ts")
    changing = ("date", "streamlimit-expires-at")
    assert first.body == second.body
    assert {k: v for k, v in first.headers.items() if k not in changing} == {
        k: v for k, v in second.headers.items() if k not in changing
    }
    assert service.watching(user)["live_sessions"] == 1


def test_after_the_last_segment_it_says_that_the_stream_is_over(service: Service, user: str) -> None:
    service.segment(user, "s", "tiny", segment="c.ts")
    for _ in range(2):
        over = service.segment(user, "s", "tiny")
        assert (over.status, over.body) == (204, b"")
        assert over.headers["streamlimit-end"] == "true"
        assert "content-length" not in over.headers
        assert over.headers["streamlimit-live-sessions"] == "1"
    assert service.watching(user)["sessions"][0]["segment"] == "c.ts"


def test_it_goes_on_behind_segments_that_are_not_there(service: Service, user: str) -> None:
    answers = [service.segment(user, "s", "gaps") for _ in range(5)]
    assert [a.headers.get("streamlimit-segment") for a in answers] == ["1.ts", "3.ts", "4.ts", None, None]
    assert [a.headers.get("streamlimit-sequence") for a in answers[:3]] == ["1", "3", "4"]
    assert [(a.status, a.headers.get("streamlimit-end")) for a in answers[3:]] == [(204, "true")] * 2
    assert service.segment(user, "s", "gaps", segment="2.ts").status == 404
    told = missing(service, "gaps")
    found = sorted((line["file"], line["problem"]) for line in told)
    assert found == [(name, "is not there") for name in ("0.ts", "2.ts", "5.ts")]


def test_of_a_segment_that_ends_behind_its_file_nothing_is_issued_and_so_nothing_received(
    service: Service, user: str
) -> None:
    for name in ("all.ts@1000-1999", "all.ts@2000-2999"):
        answer = service.segment(user, "s", "torn", segment=name)
        assert (answer.status, answer.json["code"]) == (404, "unknown-segment")
    assert service.watching(user)["sessions"] == []
    assert service.segment(user, "s", "torn").body == bytes(1_000)
    assert service.segment(user, "s", "torn").status == 204
    assert service.watching(user)["sessions"][0]["segment"] == "all.ts@0-999"


def test_it_goes_no_further_than_is_sensible(service: Service, user: str) -> None:
    assert service.segment(user, "s", "wide").status == 200
    answer = service.segment(user, "s", "wide")
    assert (answer.status, answer.json["code"]) == (404, "unknown-segment")
    assert "the next segment, 1.ts, and those after it are not there" in answer.json["detail"]


def test_segments_that_are_links_out_are_not_served_and_the_log_says_why_once(service: Service, user: str) -> None:
    for _ in range(2):
        assert service.segment(user, "s", "linked").status == 404
        assert service.segment(user, "s", "linked", segment="1.ts").status == 404
    assert service.watching(user)["live_sessions"] == 0
    told = missing(service, "linked")
    assert sorted(line["file"] for line in told) == ["0.ts", "1.ts", "2.ts"]
    assert {line["problem"] for line in told} == {"is a link that leads out of the folder of streams"}


def test_at_a_live_edge_it_says_when_to_ask_again(service: Service, user: str) -> None:
    service.segment(user, "s", "live", segment="b.ts")
    edge = service.segment(user, "s", "live")
    assert edge.status == 204
    assert int(edge.headers["retry-after"]) >= 1
    assert "streamlimit-end" not in edge.headers


def test_after_a_move_it_starts_at_the_first_segment_again(service: Service, user: str) -> None:
    service.segment(user, "s", "orchard")
    service.segment(user, "s", "orchard")
    moved = service.segment(user, "s", "tiny")
    assert (moved.status, moved.headers["streamlimit-sequence"]) == (200, "0")
    assert service.watching(user)["sessions"][0]["stream_id"] == "tiny"
    back = service.segment(user, "s", "orchard")
    assert back.headers["streamlimit-sequence"] == "0"


def test_a_segment_is_issued_again_until_it_was_received(service: Service, user: str) -> None:
    service.segment(user, "s", "packed")
    before = service.watching(user)["sessions"][0]
    _hang_up_within(service, user, "s", "packed")

    again = service.segment(user, "s", "packed")

    assert again.headers["streamlimit-sequence"] == "1"
    assert before["sequence"] == 0
    assert service.segment(user, "s", "packed").headers["streamlimit-sequence"] == "2"


def test_a_new_session_that_hangs_up_leaves_no_seat(service: Service, user: str) -> None:
    _hang_up_within(service, user, "s", "packed")
    wait_until(lambda: service.watching(user)["live_sessions"] == 0, 5, "the seat to be given back")
    assert "Traceback" not in service.log()
    assert "without completing" not in service.log()


# What it says


def test_the_headers_of_a_segment(service: Service, user: str) -> None:
    service.segment(user, "other", "clock")
    service.segment(user, "s", "tiny")
    answer = service.segment(user, "s", "tiny")
    assert answer.headers["content-type"] == "video/mp2t"
    assert answer.headers["content-length"] == str(SEGMENT_BYTES)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["streamlimit-segment"] == "b.ts"
    assert answer.headers["streamlimit-sequence"] == "1"
    assert answer.headers["streamlimit-limit"] == "3"
    assert answer.headers["streamlimit-live-sessions"] == "2"
    assert RFC3339.fullmatch(answer.headers["streamlimit-expires-at"])
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "streamlimit-degraded" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    "device",
    ["living room", "телевизор 📺", {"id": "tv-1", "name": "Télé", "type": "tv"}, {"id": "tv-1"}, {"name": "x"}],
)
def test_the_device_is_shown_as_it_was_said(service: Service, user: str, device: Any) -> None:
    service.segment(user, "s", "tiny", device=device)
    assert service.watching(user)["sessions"][0]["device"] == device


def test_without_a_device_none_is_shown(service: Service, user: str) -> None:
    service.segment(user, "s", "tiny", device=None)
    assert service.watching(user)["sessions"][0]["device"] is None


def test_null_is_as_good_as_absent_for_what_may_be_left_out(service: Service, user: str) -> None:
    assert service.segment(user, "s", "tiny", segment=None, device=None, replace=None).status == 200


@pytest.mark.parametrize("session_id", ["a", "x" * 128, "A-Z.a_z~0:9@-", "auth0|507f", "été (2008)", "..."])
def test_ids_of_every_allowed_form(service: Service, user: str, session_id: str) -> None:
    assert service.segment(user, session_id, "tiny").status == 200
    assert service.watching(user)["sessions"][0]["session_id"] == session_id


# The limit


def test_the_fourth_is_refused_and_told_who_sits(service: Service, user: str) -> None:
    for session in "abc":
        service.segment(user, session, "tiny", device=f"device {session}")

    refused = service.segment(user, "d", "tiny")

    assert refused.status == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= 1
    told = refused.json
    assert (told["code"], told["limit"], told["live_sessions"]) == ("session-limit", 3, 3)
    assert 0 < told["retry_after_seconds"] <= 18
    assert [s["device"] for s in told["sessions"]] == ["device a", "device b", "device c"]
    for session in told["sessions"]:
        assert session.keys() == {
            "session_id", "user_id", "stream_id", "state", "device", "segment", "sequence", "started_at",
            "last_activity_at", "expires_at", "plan", "limit",
        }  # fmt: skip
        assert RFC3339.fullmatch(session["started_at"])


def test_a_refusal_changes_no_living_session(service: Service, user: str) -> None:
    for session in "abc":
        service.segment(user, session, "tiny")
    before = service.watching(user)
    for _ in range(5):
        assert service.segment(user, "d", "tiny").status == 409
    assert service.watching(user) == before


def test_a_named_session_is_replaced_and_told_so(service: Service, user: str) -> None:
    for session in "abc":
        service.segment(user, session, "tiny")

    newcomer = service.segment(user, "d", "tiny", replace="b", device="new phone")

    assert newcomer.status == 200
    assert {s["session_id"] for s in service.watching(user)["sessions"]} == {"a", "c", "d"}
    victim = service.segment(user, "b", "tiny")
    assert (victim.status, victim.json["code"]) == (410, "session-terminated")
    assert victim.json["by"] == "viewer"
    assert victim.json["reason"]
    assert RFC3339.fullmatch(victim.json["at"])
    assert victim.json["by_session_id"] == "d"


def test_an_executed_replacement_again_does_nothing(service: Service, user: str) -> None:
    for session in "abc":
        service.segment(user, session, "tiny")
    for _ in range(3):
        assert service.segment(user, "d", "tiny", replace="b").status == 200
    assert {s["session_id"] for s in service.watching(user)["sessions"]} == {"a", "c", "d"}


def test_while_there_is_room_nobody_is_replaced(service: Service, user: str) -> None:
    service.segment(user, "a", "tiny")
    service.segment(user, "b", "tiny", replace="a")
    assert service.watching(user)["live_sessions"] == 2


def test_to_replace_a_session_that_is_not_there_is_refused_as_ever(service: Service, user: str) -> None:
    for session in "abc":
        service.segment(user, session, "tiny")
    assert service.segment(user, "d", "tiny", replace="nobody").status == 409


# Who may ask


def test_a_grant_as_bearer_token_speaks_for_its_session(service: Service, user: str) -> None:
    grant = _grant(service, user, "s")
    assert service.post("/v1/segments", _form(user, "s"), key=grant).status == 200


@pytest.mark.parametrize("whose", ["other user", "other session"])
def test_a_grant_speaks_for_no_other_session_or_user(service: Service, user: str, whose: str) -> None:
    grant = _grant(service, user, "s")
    form = _form("u-else", "s") if whose == "other user" else _form(user, "t")
    refused = service.post("/v1/segments", form, key=grant)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert service.watching("u-else")["live_sessions"] == 0
    assert service.watching(user)["live_sessions"] == 1


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x", "Basic dTpw", "garbage", "Bearer a.b.c"])
def test_a_bad_credential_is_refused_though_none_would_do(service: Service, user: str, header: str) -> None:
    refused = service.post("/v1/segments", _form(user, "s"), headers={"Authorization": header})
    assert (refused.status, refused.json["code"]) == (401, "unauthenticated")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert service.watching(user)["live_sessions"] == 0


def test_the_scheme_is_read_without_regard_to_case(service: Service, user: str) -> None:
    grant = _grant(service, user, "s")
    assert service.post("/v1/segments", _form(user, "s"), headers={"Authorization": f"bearer {grant}"}).status == 200


def test_an_operator_may_ask_for_anyone(service: Service, user: str) -> None:
    assert service.post("/v1/segments", _form(user, "s"), key=OPERATOR_KEY).status == 200


# What takes no seat


@pytest.mark.parametrize(
    ("stream", "segment", "code"),
    [
        ("nothing", None, "unknown-stream"),
        ("tiny", "z.ts", "unknown-segment"),
        ("tiny", "index.m3u8", "unknown-segment"),
        ("tiny", "../tiny/a.ts", "unknown-segment"),
        ("tiny", "/etc/passwd", "unknown-segment"),
        ("tiny", "./a.ts", "unknown-segment"),
        ("tiny", "a.ts\x00", "unknown-segment"),
        ("tiny", "a.ts@0-10", "unknown-segment"),
        ("tiny", "x" * 1024, "unknown-segment"),
        ("packed", "all.mp4", "unknown-segment"),
        ("live", "later.ts", "unknown-segment"),
    ],
)
def test_what_is_not_there_takes_no_seat(
    service: Service, user: str, stream: str, segment: str | None, code: str
) -> None:
    answer = service.segment(user, "s", stream, segment=segment)
    assert (answer.status, answer.json["code"]) == (404, code)
    assert service.watching(user)["live_sessions"] == 0


def test_what_is_not_there_is_said_before_the_limit(service: Service, user: str) -> None:
    for session in "abc":
        service.segment(user, session, "tiny")
    assert service.segment(user, "d", "nothing").status == 404
    assert service.segment(user, "d", "tiny", segment="z.ts").status == 404
    assert service.segment(user, "d", "nothing", replace="a").status == 404
    assert service.watching(user)["live_sessions"] == 3


def test_segments_come_one_after_the_other_on_one_connection(service: Service, user: str) -> None:
    """The outcome of an answer is settled before the next request is looked at."""
    request = json.dumps(_form(user, "s")).encode()
    head = b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall((head % len(request) + request) * 3)
        received = b""
        while received.count(b"streamlimit-sequence") < 3 or not received.endswith(content("c.ts")[-64:]):
            part = connection.recv(65_536)
            assert part, received[-500:]
            received += part
    assert re.findall(rb"streamlimit-sequence: (\d)", received) == [b"0", b"1", b"2"]


def _form(user: str, session: str) -> dict[str, str]:
    return {"user_id": user, "session_id": session, "stream_id": "tiny"}


def _grant(service: Service, user: str, session: str) -> str:
    opened = service.post("/v1/sessions", _form(user, session))
    assert opened.status in (200, 201)
    return str(opened.json["grant"])


def _hang_up_within(service: Service, user: str, session: str, stream: str) -> None:
    """Reads a little of a segment that no buffer holds, and resets the connection."""
    body = json.dumps({"user_id": user, "session_id": session, "stream_id": stream}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", service.port))
        connection.sendall(b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
