"""Shaka Player and dash.js in a real Chromium play the samples' DASH, from a page of another origin, on one seat."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.answering import Quiet, serving
from tests.e2e.browser import Tab, opened
from tests.e2e.publishing import DASH_LIVE, on_air
from tests.needs import needs
from tests.service import SAMPLES, Service, service_of_file, started, wait_until

VENDOR = Path(__file__).parent / "vendor"
STREAMS = sorted(folder.name for folder in SAMPLES.iterdir() if (folder / "stream.json").exists())
PLAYED_SECONDS = 4
FRAMES = 20

PAGE = """<!doctype html><title>{player}</title><script src="/{script}"></script><video muted></video><script>
const video = document.querySelector("video"), failures = [];
async function start(url) {{ {start} }}
</script>"""
PLAYERS = {
    "shaka": (
        "shaka-player.dash.js",
        "shaka.polyfill.installAll(); const player = new shaka.Player(); await player.attach(video);"
        "player.addEventListener('error', event => failures.push(event.detail.code));"
        "await player.load(url); await video.play();",
    ),
    "dashjs": (
        "dash.all.min.js",
        # Its own choice is to ask a host far away for the time.
        "const player = dashjs.MediaPlayer().create();"
        "player.updateSettings({streaming: {utcSynchronization: {enabled: false}}});"
        "player.on('error', event => failures.push(event.error.message)); player.initialize(video, url, true);",
    ),
}


class Site(Quiet, SimpleHTTPRequestHandler):
    """The players' files, and a page for each player."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name not in PLAYERS:
            return super().do_GET()
        script, start = PLAYERS[name]
        body = PAGE.format(player=name, script=script, start=start).encode()
        self.reply(200, body, {"Content-Type": "text/html"})


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Another origin than the service's."""
    with serving(partial(Site, directory=str(VENDOR))) as port:
        yield f"http://127.0.0.1:{port}"


service = service_of_file(segment_seconds=2, start_seconds=30)


def manifest_of(service: Service, user: str, stream: str) -> str:
    """The playback URL, but of the DASH manifest."""
    opened = service.post("/v1/sessions", {"user_id": user, "stream_id": stream, "session_id": "tab"})
    assert opened.status == 201, opened.body
    return service.url + str(opened.json["playback_url"]).rpartition("/")[0] + "/manifest.mpd"


class Viewer:
    """A tab in which *player* plays *stream*, and who was seen on its user's seats meanwhile."""

    def __init__(self, tab: Tab, service: Service, player: str, stream: str) -> None:
        self.tab, self.service, self.user = tab, service, f"{player}-{stream}"
        self.seen: set[tuple[str, ...]] = set()
        tab.evaluate(f"start({manifest_of(service, self.user, stream)!r})")

    def has_played(self) -> bool:
        """For some seconds, without a failure."""
        sessions = self.service.watching(self.user)["sessions"]
        self.seen.add(tuple(session["session_id"] for session in sessions))
        assert self.tab.evaluate("failures.join()") == "", self.tab.messages
        position, frames = self.tab.evaluate("[video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames]")
        first = self.tab.evaluate("video.played.length ? video.played.start(0) : video.currentTime")
        return bool(position - first > PLAYED_SECONDS and frames > FRAMES)


def play(browser: Browser, site: str, service: Service, chosen: list[tuple[str, str]]) -> list[Viewer]:
    """Each of the *chosen* players and streams in a tab of its own, all at once, until every one has played."""
    with ExitStack() as open_tabs:
        viewers = []
        for player, stream in chosen:
            tab = open_tabs.enter_context(opened(browser, f"{site}/{player}"))
            viewers.append(Viewer(tab, service, player, stream))
        for viewer in viewers:
            wait_until(viewer.has_played, 40, f"{viewer.user} to play")
        return viewers


@pytest.mark.parametrize("player", PLAYERS)
def test_it_plays_samples_on_one_seat_each(browser: Browser, service: Service, site: str, player: str) -> None:
    """The one player some of them, the other one the others."""
    mine = STREAMS[list(PLAYERS).index(player) :: len(PLAYERS)]
    for viewer in play(browser, site, service, [(player, stream) for stream in mine]):
        assert viewer.seen == {("tab",)}
        session = service.watching(viewer.user)["sessions"][0]
        assert session["sequence"] >= 2
        assert session["state"] in ("active", "idle")


def test_both_play_a_live_stream_while_it_is_published(browser: Browser, site: str, tmp_path: Path) -> None:
    needs("ffmpeg")
    settings = {"streams": str(tmp_path / "streams"), "segment_seconds": 1, "start_seconds": 30}
    with on_air(tmp_path / "streams" / "live", *DASH_LIVE), started(tmp_path, **settings) as service:
        wait_until(lambda: _segments(service) >= 5, 20, "the publisher")
        viewers = play(browser, site, service, [(player, "live") for player in PLAYERS])
    assert [viewer.seen for viewer in viewers] == [{("tab",)}] * len(PLAYERS)


def _segments(service: Service) -> int:
    return max((each["segments"] for each in service.get("/v1/streams").json["streams"]), default=0)
