"""Pages in which hls.js, Shaka or dash.js plays a stream and reports by CMCD v2, set up as docs/how-to/cmcd.md says."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

from tests.answering import Quiet, serving
from tests.e2e.browser import Tab
from tests.service import SAMPLES

FOLDERS = {
    "samples": SAMPLES,
    "vendor": Path(__file__).parent / "vendor",
    "static": SAMPLES.parent / "web/static/vendor",
}
STREAM = "aurora"


class Player(NamedTuple):
    """*script*: where the page has it from. *entry*: what it plays. *start*: JavaScript that plays `source`, and tells
    `fail` the status and body of each refusal.
    """

    script: str
    entry: str
    start: str


PLAYERS = {
    "hlsjs": Player(
        "/static/hls.min.js",
        "master.m3u8",
        "const hls = new Hls({cmcd: {version: 2, contentId: STREAM, eventTargets: [{...target, includeKeys: keys}]}});"
        "hls.on(Hls.Events.ERROR, (_, {response, networkDetails: xhr}) => fail(response?.code, xhr?.response));"
        "hls.loadSource(source); hls.attachMedia(video); video.play();",
    ),
    "shaka": Player(
        "/vendor/shaka-player.dash.js",
        "manifest.mpd",
        "shaka.polyfill.installAll(); const player = new shaka.Player(); await player.attach(video);"
        "player.configure({cmcd: {enabled: true, version: 2, contentId: STREAM,"
        " eventTargets: [{...target, includeKeys: keys}]}});"
        "video.addEventListener('ended', () => player.unload());"
        "await player.load(source).catch(({data}) => fail(data[1], data[2])); await video.play();",
    ),
    "dashjs": Player(
        "/vendor/dash.all.min.js",
        "manifest.mpd",
        "const player = dashjs.MediaPlayer().create();"
        "player.updateSettings({streaming: {utcSynchronization: {enabled: false}, cmcd: {enabled: true, version: 2,"
        " cid: STREAM, eventTargets: [{...target, enabled: true, enabledKeys: keys}]}}});"
        "player.on('error', ({error}) => fail(error.data?.response?.status, error.data?.response?.data));"
        "player.initialize(video, source, true);",
    ),
}


class _Pages(Quiet, SimpleHTTPRequestHandler):
    """Players, media, and a page for each player."""

    def translate_path(self, path: str) -> str:
        folder, _, rest = path.partition("?")[0].strip("/").partition("/")
        return str(FOLDERS.get(folder, Path("/nowhere")) / rest)

    def do_GET(self) -> None:
        player = PLAYERS.get(self.path.strip("/"))
        if player is None:
            return super().do_GET()
        page = f"""<!doctype html><script src="{player.script}"></script><video muted></video><script>
            const video = document.querySelector("video"), STREAM = {json.dumps(STREAM)}, failures = [];
            const read = body => body instanceof ArrayBuffer ? new TextDecoder().decode(body) : body;
            const fail = (status, body) => failures.push({{status, body: read(body)}});
            let ended = false; video.addEventListener("ended", () => ended = true);
            async function start(source, url) {{
              const target = {{url, events: ["t", "ps"], interval: 1}}, keys = ["sid", "cid", "sta", "sn"];
              try {{ {player.start} }} catch (error) {{ throw new Error(JSON.stringify(error)); }} }}</script>"""
        self.reply(200, page.encode(), {"Content-Type": "text/html"})


@contextmanager
def pages() -> Iterator[str]:
    """Another origin than the service's and the media's: its reports want a preflight."""
    with serving(_Pages) as port:
        yield f"http://127.0.0.1:{port}"


def start(tab: Tab, folder: str, player: str, target: str) -> None:
    """Has the page of *player* play what is in *folder* (a URL), and report to *target*."""
    tab.evaluate(f"void start({folder + PLAYERS[player].entry!r}, {target!r})")


def play_to_the_end(tab: Tab, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Waits for it; presses play where the player has paused: on a busy machine dash.js does, half a second before."""

    def press() -> None:
        tab.evaluate("void (video.paused && !ended && video.play())")
        meanwhile()

    tab.wait_for("ended", seconds, meanwhile=press)
