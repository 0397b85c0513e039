"""A stream of many renditions at an origin: a few playlists are fetched at a time, and none is waited for in vain."""

import threading

from tests.origin import server as does
from tests.origin.server import Handler, Origin
from tests.service import Service
from tests.web.folders import content

RENDITIONS = 20
AT_ONCE = 4
"""As ABREAST of the catalog; a fifth request has so long to come:"""
FIFTH_SECONDS = 0.02


SETTINGS = {"segment_seconds": 6, "origin_seconds": 4, "start_seconds": 60}
"""Of the service `running` (conftest.py)."""


class Crowd:
    """Requests that are answered at the same time; `most`: how many there were at most."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self._changed = threading.Condition()

    def __call__(self, handler: Handler, body: bytes) -> None:
        with self._changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most > AT_ONCE, timeout=FIFTH_SECONDS)
            self.inside -= 1
        handler.answer(200, body)


def _make(server: Origin, name: str, end: str) -> None:
    folder = server.folder / name
    folder.mkdir()
    variants = "".join(f"#EXT-X-STREAM-INF:BANDWIDTH={n}\n{n}.m3u8\n" for n in range(1, RENDITIONS + 1))
    (folder / "master.m3u8").write_text("#EXTM3U\n" + variants)
    for n in range(1, RENDITIONS + 1):
        (folder / f"{n}.ts").write_bytes(content(f"{n}.ts"))
        (folder / f"{n}.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{n}.ts\n{end}")


def _misbehave(server: Origin, name: str, behave: does.Behaviour) -> None:
    for n in range(1, RENDITIONS + 1):
        server.misbehave(f"/{name}/{n}.m3u8", behave)


def test_playlists_are_fetched_by_few_requests_at_once(service: Service, server: Origin, user: str) -> None:
    name, first, again = "many-" + user, Crowd(), Crowd()
    _make(server, name, "")
    _misbehave(server, name, first)
    for n in (1, RENDITIONS):
        assert service.segment(user, "s", name, segment=f"{n}.ts").body == content(f"{n}.ts")
    assert 1 <= first.most <= AT_ONCE
    _misbehave(server, name, again)
    assert service.segment(user, "s", name, segment="new.ts").status == 404  # all are asked whether they list it now
    assert 1 <= again.most <= AT_ONCE


def test_an_origin_that_says_nothing_is_not_asked_for_every_playlist(
    service: Service, server: Origin, user: str
) -> None:
    name = "mute-" + user
    _make(server, name, "#EXT-X-ENDLIST\n")
    _misbehave(server, name, does.hang)
    assert service.segment(user, "s", name).status in (404, 504)
    asked = [target for target in server.targets() if target.removeprefix(f"/{name}/")[:1].isdigit()]
    assert 1 <= len(asked) <= AT_ONCE


def test_playlists_that_come_are_used_though_others_do_not(service: Service, server: Origin, user: str) -> None:
    name = "half-" + user
    _make(server, name, "#EXT-X-ENDLIST\n")
    for n in (3, 12, 17):
        server.misbehave(f"/{name}/{n}.m3u8", does.hang)
    for n in (1, 2, RENDITIONS):
        assert service.segment(user, "s", name, segment=f"{n}.ts").body == content(f"{n}.ts")
