"""All kinds of streams: encrypted, live while ffmpeg publishes, low-latency, subtitled; folders that come and go."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import GRANT_KEY, Head, connected, play
from tests.e2e.publishing import DASH_LIVE, HLS_LIVE, make_encrypted, make_subtitled, on_air
from tests.needs import needs
from tests.service import SAMPLES, Service, started, temporary_folder, wait_until

X = 1.0
N = 6  # a busy machine may keep a player from asking for some seconds
LIVE_SECONDS = 9.0
"""How long a live viewer is observed here; tests/soak/test_live_soak.py takes ten minutes."""


class House:
    """The service, and the folder that it serves."""

    def __init__(self, service: Service, streams: Path) -> None:
        self.service, self.streams = service, streams

    def ids(self, user: str) -> list[str]:
        return [session["session_id"] for session in self.service.watching(user)["sessions"]]

    def session(self, user: str) -> dict[str, Any]:
        """The user's only one."""
        (session,) = self.service.watching(user)["sessions"]
        return dict(session)

    def open(self, user: str, stream: str, session: str = "tv", manifest: str | None = None) -> str:
        """The whole playback URL."""
        form = {"user_id": user, "stream_id": stream, "session_id": session}
        opened = self.service.post("/v1/sessions", form)
        assert opened.status == 201, opened.body
        url = self.service.url + str(opened.json["playback_url"])
        return url if manifest is None else f"{url.rpartition('/')[0]}/{manifest}"

    def ask(self, user: str, session: str, stream: str, path: str) -> Head:
        """One file, with a grant."""
        with connected(self.service.port) as client:
            return client.send(play(user, session, stream, path)).answer()

    def events(self, user: str) -> list[str]:
        """What the log says of the user's sessions."""
        lines = [json.loads(line) for line in self.service.log().splitlines() if line.startswith("{")]
        return [line["event"] for line in lines if line.get("user_id") == user]


def open_house(folder: Path) -> Iterator[House]:
    """X is as short as the segments."""
    streams = folder / "streams"
    streams.mkdir()
    settings = {"streams": str(streams), "segment_seconds": X, "missed_segments": N, "grant_keys": [GRANT_KEY]}
    with started(folder, **settings) as service:
        yield House(service, streams)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    needs("ffmpeg")
    with temporary_folder() as folder:
        yield from open_house(folder)


@pytest.fixture(scope="module")
def live(house: House) -> Iterator[str]:
    """A live HLS stream that slides."""
    with on_air(house.streams / "live", *HLS_LIVE):
        yield from _known(house, "live")


@pytest.fixture(scope="module")
def dash(house: House) -> Iterator[str]:
    """A live DASH stream that slides."""
    with on_air(house.streams / "dash", *DASH_LIVE):
        yield from _known(house, "dash")


@pytest.fixture(scope="module")
def locked(house: House) -> str:
    make_encrypted(house.streams / "locked", 6)
    return next(_known(house, "locked"))


@pytest.fixture(scope="module")
def subtitled(house: House) -> str:
    make_subtitled(house.streams / "subtitled", 6)
    return next(_known(house, "subtitled"))


def _known(house: House, stream: str) -> Iterator[str]:
    def is_there() -> bool:
        found = house.service.get("/v1/streams").json["streams"]
        return any(each["stream_id"] == stream and each["segments"] >= 3 for each in found)

    wait_until(is_there, 20, "the new folder to be noticed")
    yield stream


def decode(url: str, *how: str, seconds: float = 60) -> float:
    """How many seconds of it came out of ffmpeg."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-progress", "pipe:1", "-i", url, *how, "-f", "null", "-"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert ended.returncode == 0, ended.stderr
    return decoded(ended.stdout)


def decoded(progress: str) -> float:
    times = [line.partition("=")[2] for line in progress.splitlines() if line.startswith("out_time_us=")]
    return int(times[-1]) / 1e6 if times and times[-1].isdigit() else 0.0


# AES-128


def test_ffmpeg_plays_an_encrypted_stream_on_one_seat(house: House, locked: str) -> None:
    url = house.open("aes", locked)
    assert decode(url) == pytest.approx(6, abs=0.3)
    assert house.ids("aes") == ["tv"]


def test_a_key_takes_no_seat_and_is_refused_where_a_segment_would_be(house: House, locked: str) -> None:
    assert house.ask("keys", "a", locked, "secret.key").status == 200
    assert house.ids("keys") == []
    for session in "abc":
        assert house.ask("keys", session, locked, "index0.ts").status == 200
    assert house.ask("keys", "d", locked, "secret.key").status == 409
    assert house.ask("keys", "d", locked, "index.m3u8").status == 409
    assert house.ask("keys", "a", locked, "secret.key").status == 200
    assert house.ids("keys") == ["a", "b", "c"]


def test_a_key_is_no_activity(house: House, locked: str) -> None:
    assert house.ask("silent", "a", locked, "index0.ts").status == 200
    deadline = time.monotonic() + N * X + 2
    while house.ids("silent") == ["a"]:
        assert house.ask("silent", "a", locked, "secret.key").status == 200
        assert time.monotonic() < deadline, "the key kept the seat"
        time.sleep(0.05)


# Live


def test_a_live_viewer_keeps_one_seat_and_never_shows_as_gone(house: House, live: str) -> None:
    watch(house, live, "viewer", LIVE_SECONDS)


def watch(house: House, stream: str, user: str, seconds: float) -> None:
    """ffmpeg plays the live stream; whoever looks sees one session, always the same one."""
    url = house.open(user, stream)
    began = house.session(user)["started_at"]
    report = house.streams.parent / f"{user}.progress"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-progress", str(report), "-i", url, "-f", "null", "-"]
    seen: set[tuple[str, ...]] = set()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as player:
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                assert player.poll() is None, player.communicate()[1]
                seen.add(tuple(house.ids(user)))
                time.sleep(0.1)  # a look at every moment is not needed, a core for the others is
            session = house.session(user)
        finally:
            player.terminate()
    assert seen == {("tv",)}
    assert session["started_at"] == began
    assert house.events(user) == ["session.started"], "not once gone, moved or begun anew"
    assert decoded(report.read_text()) > seconds - 6


@pytest.mark.parametrize("kind", ["live", "dash"])
def test_endpoint_1_at_the_live_edge_says_when_to_come_back_and_then_gives_the_next(
    house: House, kind: str, request: pytest.FixtureRequest
) -> None:
    stream, user = request.getfixturevalue(kind), f"edge-{kind}"
    sequences, waits = [], 0
    deadline = time.monotonic() + 30
    while len(sequences) < 6:
        assert time.monotonic() < deadline
        answer = house.service.segment(user, "tv", stream)
        if answer.status == 204:
            assert "streamlimit-end" not in answer.headers
            assert 1 <= int(answer.headers["retry-after"]) <= 2
            waits += 1
            time.sleep(0.2)
            continue
        assert answer.status == 200
        assert len(answer.body) > 100
        sequences.append(int(answer.headers["streamlimit-sequence"]))
    assert waits > 2
    assert sequences == list(range(sequences[0], sequences[0] + 6)), "none left out, none twice"
    assert house.events(user) == ["session.started"]


def test_ffmpeg_plays_a_live_dash_stream_on_one_seat(house: House, dash: str) -> None:
    url = house.open("dash", dash)
    assert decode(url, "-t", "5") == pytest.approx(5, abs=1)
    assert house.ids("dash") == ["tv"]
    # On a busy machine ffmpeg hangs up on the very first segment and asks again: that reservation is given back.
    assert [event for event in house.events("dash") if event != "session.abandoned"] == ["session.started"]


def test_a_viewer_who_fell_behind_the_window_goes_on_with_the_oldest(house: House, live: str) -> None:
    first = int(house.service.segment("slow", "tv", live).headers["streamlimit-sequence"])
    window = house.streams / live / "index.m3u8"

    def oldest() -> int:
        return int(window.read_text().partition("MEDIA-SEQUENCE:")[2].split()[0])

    while oldest() < first + 4:  # what the service knows of the window may be a moment old
        body = {"stream_id": live}
        assert house.service.post("/v1/users/slow/sessions/tv/heartbeat", body).status == 200
        time.sleep(0.2)
    answer = house.service.segment("slow", "tv", live)
    assert answer.status == 200
    assert int(answer.headers["streamlimit-sequence"]) > first + 1
    assert house.ids("slow") == ["tv"]


def test_the_end_of_a_live_stream_is_told(house: House) -> None:
    with on_air(house.streams / "short", *HLS_LIVE, seconds=4) as publisher:
        next(_known(house, "short"))
        publisher.wait(30)
        deadline = time.monotonic() + 20
        while True:
            answer = house.service.segment("finale", "tv", "short")
            assert answer.status in (200, 204)
            if "streamlimit-end" in answer.headers:
                break
            assert time.monotonic() < deadline, "waited in vain for the end"
            time.sleep(0.05)
    assert house.service.watching("finale")["sessions"][0]["sequence"] == 3


# Low latency


def test_parts_of_a_segment_take_the_seat_and_count_as_that_segment(house: House) -> None:
    folder = house.streams / "low-latency"
    folder.mkdir()
    for name in ("s0.ts", "s1.ts", "p2.0.ts", "p2.1.ts"):
        (folder / name).write_bytes(name.encode() * 500)
    (folder / "index.m3u8").write_text(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.5\n"
        "#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=1.5\n#EXTINF:1,\ns0.ts\n#EXTINF:1,\ns1.ts\n"
        '#EXT-X-PART:DURATION=0.5,URI="p2.0.ts",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI="p2.1.ts"\n'
    )
    wait_until(lambda: house.ask("ll", "tv", "low-latency", "index.m3u8").status == 200, 10, "the new folder")
    assert house.ids("ll") == []
    for name, sequence in (("s1.ts", 1), ("p2.0.ts", 2), ("p2.1.ts", 2)):
        head = house.ask("ll", "tv", "low-latency", name)
        assert (head.status, head.sequence) == (200, sequence)
    wait_until(lambda: house.session("ll")["segment"] == "p2.1.ts", 5, "the receipt")
    assert house.session("ll")["sequence"] == 2
    for session in "bc":
        assert house.ask("ll", session, "low-latency", "p2.0.ts").status == 200
    assert house.ask("ll", "d", "low-latency", "p2.0.ts").status == 409


# Subtitles


def test_subtitles_take_no_seat(house: House, subtitled: str) -> None:
    for name in ("master.m3u8", "stream_0_vtt.m3u8", *(f"stream_0{n}.vtt" for n in range(6))):
        head = house.ask("reader", "tv", subtitled, name)
        assert (head.status, "streamlimit-sequence" in head.headers) == (200, False)
    assert house.ids("reader") == []
    assert house.events("reader") == []


def test_ffmpeg_plays_picture_tone_and_subtitles_on_one_seat(house: House, subtitled: str) -> None:
    url = house.open("subtitles", subtitled)
    assert decode(url, "-map", "0") == pytest.approx(6, abs=1)
    assert house.ids("subtitles") == ["tv"]


# Folders come and go


def test_a_new_folder_is_playable_and_a_removed_one_is_404_without_a_restart(house: House) -> None:
    assert house.service.segment("early", "tv", "newcomer").status == 404
    shutil.copytree(SAMPLES / "orchard", house.streams / "newcomer")
    wait_until(lambda: house.service.segment("early", "tv", "newcomer").status == 200, 5, "the new folder")
    url = house.open("decoder", "newcomer")
    assert decode(url, "-t", "4") == pytest.approx(4, abs=0.5)
    shutil.rmtree(house.streams / "newcomer")
    wait_until(lambda: house.service.segment("meanwhile", "tv", "newcomer").status == 404, 10, "its absence")

    def is_unknown() -> bool:
        return bool(house.service.segment("meanwhile", "tv", "newcomer").json["code"] == "unknown-stream")

    wait_until(is_unknown, 5, "more than its segments to be missed")
    assert house.service.segment("late", "tv", "newcomer").status == 404
    assert house.ids("late") == []


def test_a_broken_playlist_is_one_line_and_a_404_with_its_reason_and_hurts_no_other(house: House, live: str) -> None:
    folder = house.streams / "broken"
    folder.mkdir()
    (folder / "index.m3u8").write_text("this is no playlist\n")

    def is_known() -> bool:
        return b"does not begin" in house.service.segment("unlucky", "tv", "broken").body

    wait_until(is_known, 10, "the new folder to be noticed")
    for _ in range(5):
        answer = house.service.segment("unlucky", "tv", "broken")
        assert (answer.status, answer.json["code"]) == (404, "unknown-stream")
        assert "index.m3u8 does not begin with #EXTM3U" in answer.json["detail"]
        assert str(house.streams) not in answer.body.decode()
        assert house.service.segment("lucky", "tv", live).status in (200, 204)
    lines = [json.loads(line) for line in house.service.log().splitlines() if "stream_broken" in line]
    assert [line["stream_id"] for line in lines] == ["broken"]
    assert house.ids("unlucky") == []
    assert house.ids("lucky") == ["tv"]
