"""Low-latency HLS: what a player asks for a moment too early is held until it is there, for a while, without a seat."""

import http.client
import os
import secrets
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlimit.web.grants import Grants
from tests.service import Answer, Service, started, temporary_folder, wait_until

KEY = "the-key-of-the-grants-here"
BLOCKS = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0\n"
QUIET_SECONDS = 0.3


class Origin:
    """Writes low-latency playlists: whole segments from 100 on, then parts of the next one and a hint at another."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(self, stream: str, last: int, parts: int, head: str = BLOCKS, target: str = "4") -> None:
        folder = self.root / stream
        folder.mkdir(exist_ok=True)
        lines = f"#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n{head}#EXT-X-MEDIA-SEQUENCE:100\n"
        for number in range(100, last + 1):
            for part in range(4):
                lines += self._part(folder, number, part)
            lines += f"#EXTINF:4.0,\ns{number}.m4s\n"
            (folder / f"s{number}.m4s").write_bytes(b"s" * 900)
        for part in range(parts):
            lines += self._part(folder, last + 1, part)
        lines += f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="s{last + 1}.p{parts}.m4s"\n'
        (folder / "next").write_text(lines)
        os.replace(folder / "next", folder / "index.m3u8")

    def _part(self, folder: Path, number: int, part: int) -> str:
        (folder / f"s{number}.p{part}.m4s").write_bytes(f"{number}.{part}".encode() * 100)
        return f'#EXT-X-PART:DURATION=1.0,URI="s{number}.p{part}.m4s"\n'


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with temporary_folder() as found:
        yield found


@pytest.fixture(scope="module")
def origin(folder: Path) -> Origin:
    (folder / "streams").mkdir()
    origin = Origin(folder / "streams")
    for name in ("two", "stopped"):
        origin.publish(name, 103, 1)
    origin.publish("plain", 103, 1, head="")
    origin.publish("short", 103, 1, target="0.2")
    return origin


@pytest.fixture(scope="module")
def service(folder: Path, origin: Origin) -> Iterator[Service]:
    (folder / "run").mkdir()
    settings = {"grant_keys": [KEY], "trusted_proxies": ["127.0.0.1"], "streams": str(origin.root)}
    with started(folder / "run", **settings) as service:
        yield service


class Player:
    """One session."""

    def __init__(self, service: Service, stream: str) -> None:
        self.service, self.stream, self.user = service, stream, "u-" + secrets.token_hex(4)
        self.grant = Grants([KEY], 3_600).sign(self.user, "tv")

    def url(self, path: str) -> str:
        return f"/play/{self.grant}/{self.stream}/{path}"

    def get(self, path: str, address: str = "192.0.2.7") -> Answer:
        return self.service.call("GET", self.url(path), headers={"X-Forwarded-For": address})

    def ask(self, path: str) -> http.client.HTTPConnection:
        """Sends the request and reads nothing."""
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=20)
        connection.request("GET", self.url(path))
        return connection


def is_held(connection: http.client.HTTPConnection) -> bool:
    return not select.select([connection.sock], [], [], QUIET_SECONDS)[0]


def answer(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    with connection.getresponse() as response:
        return response.status, response.read()


def test_a_reload_is_held_until_the_part_is_listed_and_takes_no_seat(service: Service, origin: Origin) -> None:
    origin.publish("reload", 103, 1)
    player = Player(service, "reload")
    wait_until(lambda: player.get("index.m3u8").status == 200, 10, "the new folder")
    for last, parts, query in ((103, 2, "104&_HLS_part=1"), (104, 0, "104"), (104, 1, "104&_HLS_part=4")):
        waiting = [player.ask(f"index.m3u8?_HLS_skip=YES&_HLS_msn={query}") for _ in range(3)]
        assert all(is_held(connection) for connection in waiting)
        assert service.watching(player.user)["sessions"] == []
        origin.publish("reload", last, parts)
        for connection in waiting:
            status, body = answer(connection)
            assert status == 200
            assert f"s{last + 1}.p{parts}".encode() in body
            connection.close()


def test_the_hinted_part_is_held_until_it_is_there(service: Service, origin: Origin) -> None:
    origin.publish("hint", 103, 1)
    player = Player(service, "hint")
    wait_until(lambda: player.get("index.m3u8").status == 200, 10, "the new folder")
    connection = player.ask("s104.p1.m4s")
    assert is_held(connection)
    assert service.watching(player.user)["sessions"] == []
    origin.publish("hint", 103, 2)
    assert answer(connection) == (200, b"104.1" * 100)
    connection.close()
    wait_until(lambda: service.watching(player.user)["sessions"][0]["segment"] == "s104.p1.m4s", 5, "the receipt")
    assert service.watching(player.user)["sessions"][0]["sequence"] == 104


@pytest.mark.parametrize(
    "query", ["_HLS_msn=103", "_HLS_msn=104&_HLS_part=0", "_HLS_msn=99", "_HLS_skip=v2", "_HLS_x=1"]
)
def test_what_is_there_is_answered_at_once(service: Service, query: str) -> None:
    assert Player(service, "two").get(f"index.m3u8?{query}").status == 200


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_msn=106",
        "_HLS_msn=-1",
        "_HLS_msn=x",
        "_HLS_msn=",
        "_HLS_part=1",
        "_HLS_msn=104&_HLS_part=x",
        f"_HLS_msn={'9' * 99}",
    ],
)
def test_what_cannot_come_next_is_malformed_at_once(service: Service, query: str) -> None:
    problem = Player(service, "two").get(f"index.m3u8?{query}")
    assert (problem.status, problem.json["code"]) == (400, "malformed")


@pytest.mark.parametrize("query", ["_HLS_msn=104&_HLS_part=1", "_HLS_msn=999", "_HLS_msn=x"])
def test_a_playlist_that_announces_no_blocking_is_sent_as_it_is(service: Service, query: str) -> None:
    player = Player(service, "plain")
    assert player.get(f"index.m3u8?{query}").status == 200
    assert player.get("s104.p1.m4s").json["code"] == "unknown-segment"


def test_after_three_target_durations_the_reload_is_503_and_the_part_404(service: Service) -> None:
    player = Player(service, "short")
    reload, part = player.ask("index.m3u8?_HLS_msn=104"), player.ask("s104.p1.m4s")
    assert is_held(reload)
    with reload.getresponse() as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert b'"origin-stalled"' in response.read()
    assert answer(part)[0] == 404
    assert service.watching(player.user)["sessions"] == []
    reload.close()
    part.close()


def test_who_may_not_play_and_what_nobody_hints_at_do_not_wait(service: Service) -> None:
    player = Player(service, "stopped")
    assert player.get("s104.p2.m4s").status == 404
    assert player.service.call("HEAD", player.url("s104.p1.m4s")).status == 404
    assert player.service.call("HEAD", player.url("index.m3u8?_HLS_msn=104")).status == 200
    player.grant = player.grant[:-4] + "AAAA"
    assert player.get("index.m3u8?_HLS_msn=104").status == 401
    assert player.get("s104.p1.m4s").status == 401


def test_a_stream_that_ends_lets_everybody_go_on(service: Service, origin: Origin) -> None:
    origin.publish("ending", 103, 1)
    player = Player(service, "ending")
    wait_until(lambda: player.get("index.m3u8").status == 200, 10, "the new folder")
    connection = player.ask("index.m3u8?_HLS_msn=104")
    assert is_held(connection)
    playlist = origin.root / "ending" / "index.m3u8"
    playlist.with_name("next").write_text(playlist.read_text() + "#EXT-X-ENDLIST\n")
    os.replace(playlist.with_name("next"), playlist)
    status, body = answer(connection)
    assert (status, body.endswith(b"#EXT-X-ENDLIST\n")) == (200, True)
    connection.close()


@pytest.mark.parametrize("addresses", [("192.0.2.7", "2001:db8:1:2::9"), ("192.0.2.7", "192.0.2.7")])
def test_one_player_on_two_addresses_that_takes_each_part_once_is_one_player(
    service: Service, origin: Origin, addresses: tuple[str, str]
) -> None:
    stream = "dual" + str(len(set(addresses)))
    origin.publish(stream, 106, 1)
    player = Player(service, stream)
    wait_until(lambda: player.get("index.m3u8").status == 200, 10, "the new folder")
    parts = [f"s{number}.p{part}.m4s" for number in range(103, 107) for part in range(4)]
    assert [player.get(part, addresses[n % 2]).status for n, part in enumerate(parts)] == [200] * len(parts)


def test_two_players_that_take_the_same_parts_are_refused(service: Service) -> None:
    player = Player(service, "two")
    parts = [f"s103.p{part}.m4s" for part in range(4)]
    statuses = [player.get(part, address).status for part in parts for address in ("192.0.2.7", "198.51.100.9")]
    assert statuses[:4] == [200] * 4
    assert 409 in statuses
