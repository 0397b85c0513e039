"""hls.js, Shaka and dash.js in a real Chromium, set up as docs/how-to/cmcd.md says, keep their seats by CMCD alone."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.browser import chromium, opened
from tests.service import SAMPLES, Service, started, temporary_folder, wait_until

FOLDERS = {
    "samples": SAMPLES,
    "vendor": Path(__file__).parent / "vendor",
    "static": SAMPLES.parent / "web/static/vendor",
}
STREAM = "aurora"
PLAYERS = {
    "hlsjs": (
        "/static/hls.min.js",
        "const hls = new Hls({cmcd: {version: 2, contentId: STREAM, eventTargets: [{...target, includeKeys: keys}]}});"
        "hls.loadSource('/samples/aurora/master.m3u8'); hls.attachMedia(video); video.play();",
    ),
    "shaka": (
        "/vendor/shaka-player.dash.js",
        "shaka.polyfill.installAll(); const player = new shaka.Player(); await player.attach(video);"
        "player.configure({cmcd: {enabled: true, version: 2, contentId: STREAM,"
        " eventTargets: [{...target, includeKeys: keys}]}});"
        "await player.load(location.origin + '/samples/aurora/manifest.mpd'); await video.play();",
    ),
    "dashjs": (
        "/vendor/dash.all.min.js",
        "const player = dashjs.MediaPlayer().create();"
        "player.updateSettings({streaming: {utcSynchronization: {enabled: false}, cmcd: {enabled: true, version: 2,"
        " cid: STREAM, eventTargets: [{...target, enabled: true, enabledKeys: keys}]}}});"
        "player.initialize(video, '/samples/aurora/manifest.mpd', true);",
    ),
}


class Site(SimpleHTTPRequestHandler):
    """Players, media, and a page for each player."""

    def translate_path(self, path: str) -> str:
        folder, _, rest = path.partition("?")[0].strip("/").partition("/")
        return str(FOLDERS.get(folder, Path("/nowhere")) / rest)

    def do_GET(self) -> None:
        found = PLAYERS.get(self.path.strip("/"))
        if found is None:
            return super().do_GET()
        body = f"""<!doctype html><script src="{found[0]}"></script><video muted></video><script>
            const video = document.querySelector("video"), STREAM = {json.dumps(STREAM)};
            async function start(url) {{
              const target = {{url, events: ["t", "ps"], interval: 1}}, keys = ["sid", "cid", "sta", "sn"];
              try {{ {found[1]} }} catch (error) {{ throw new Error(JSON.stringify(error)); }} }}</script>""".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Another origin than the service's: its reports want a preflight."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder, started(Path(folder), segment_seconds=30, ledger_streams="any") as running:
        yield running


def _seen(service: Service, user: str) -> str | None:
    sessions = service.watching(user)["sessions"]
    return sessions[0]["last_activity_at"] if sessions else None


def test_three_players_keep_their_seats_by_their_reports_and_two_free_them_at_the_end(
    service: Service, site: str
) -> None:
    with chromium() as browser:
        for player in PLAYERS:
            told = service.post("/v1/sessions", {"user_id": player, "stream_id": STREAM, "session_id": "tab"}).json
            with opened(browser, f"{site}/{player}") as tab:
                tab.evaluate(f"start({service.url + '/edge/cmcd/' + told['grant']!r})")
                tab.wait_for("video.currentTime > 0.5", seconds=60)
                wait_until(lambda name=player: _seen(service, name) is not None, 30, f"a report of {player}")
                first = _seen(service, player)
                wait_until(lambda name=player, old=first: _seen(service, name) != old, 30, f"another of {player}")
                if player == "shaka":
                    continue  # tells no states: its end is that it reports no more
                tab.evaluate("void (video.currentTime = video.duration - 0.3)")
                wait_until(lambda name=player: _seen(service, name) is None, 60, f"the end of {player}: {tab.messages}")
        assert '"status": 4' not in service.log()
