"""The JavaScript client in a real Chromium, in a page of another origin: a seat kept, lost, taken and given back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.answering import Quiet, serving
from tests.e2e.browser import Tab, opened
from tests.service import OPERATOR_KEY, Service, service_of_file, started, wait_until

VENDOR = Path(__file__).parent / "vendor"
X_SECONDS = 2
MAX_BYTES = 8_000
PAGE = """<!doctype html><meta charset="utf-8"><script src="{url}/static/vendor/hls.min.js"></script>
<script src="/shaka-player.dash.js"></script><script src="/dash.all.min.js"></script>
<video muted playsinline></video>
<script type="module">
import * as client from "{url}/client.js";
const told = (window.told = []);
window.client = client;
window.video = document.querySelector("video");
const players = {
  hls: () => session.attachHls(new Hls({ maxBufferLength: 6, maxMaxBufferLength: 6 }), video),
  shaka: () => session.attachShaka(new shaka.Player(), video),
  video: () => session.attachVideo(video),
  dash: () => session.attachDash(dashjs.MediaPlayer().create(), video),
};
const manifestOf = async (form) => {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("{url}/v1/sessions", { method: "POST", headers, body: JSON.stringify(form) });
  const opened = await answer.json();
  return { ...opened, playback_url: "{url}" + opened.playback_url.replace("master.m3u8", "manifest.mpd") };
};
window.play = async ({ player = "hls", ...more }) => {
  const via = ["shaka", "dash"].includes(player) ? manifestOf : "{url}/v1/sessions";
  const session = (window.session = await client.open({ via, stream: "clock", ...more }));
  for (const name of ["open", "refused", "terminated", "failed"])
    session.addEventListener(name, ({ detail }) => told.push([name, detail]));
  video.autoplay = true;
  players[player]();
  return session.state;
};
</script>"""

service = service_of_file(segment_seconds=X_SECONDS)


class Embedding:
    """A platform's page that uses the client, and the requests that leave it."""

    def __init__(self, tab: Tab) -> None:
        self.tab, self.asked = tab, list[str]()
        tab.page.on("request", lambda request: self.asked.append(f"{request.method} {request.url.rpartition('/')[2]}"))

    def play(self, user: str, **more: Any) -> str:
        state: str = self.tab.evaluate(f"play({json.dumps({'user': user} | more)})")
        return state

    def moves(self) -> None:
        """The picture goes on for a second."""
        position = self.tab.evaluate("video.currentTime")
        self.tab.wait_for(f"video.currentTime > {position + 1}", 20)

    def told(self, name: str) -> dict[str, Any]:
        """The first event of that name."""
        self.tab.wait_for(f"told.some(([name]) => name === '{name}')", 20)
        found: dict[str, Any] = self.tab.evaluate(f"told.find(([name]) => name === '{name}')[1]")
        return found


class Platform(Quiet):
    """Hands out the page, and the players that it needs."""

    html = b""

    def do_GET(self) -> None:
        script = VENDOR / self.path[1:]
        kind, body = ("text/javascript", script.read_bytes()) if script.is_file() else ("text/html", self.html)
        self.reply(200, body, {"Content-Type": kind})


@pytest.fixture(scope="module")
def platform(service: Service) -> Iterator[str]:
    """The address of the platform's page."""
    handler = type("Handler", (Platform,), {"html": PAGE.replace("{url}", service.url).encode()})
    with serving(handler) as port:
        yield f"http://localhost:{port}/"


@contextmanager
def page(browser: Browser, platform: str) -> Iterator[Embedding]:
    """With an empty storage."""
    with opened(browser, platform) as tab:
        embedding = Embedding(tab)
        tab.wait_for("window.play")
        yield embedding


def live(service: Service, user: str) -> int:
    found: int = service.watching(user)["live_sessions"]
    return found


def test_a_playing_page_sends_heartbeats_and_a_closed_tab_frees_its_seat(
    browser: Browser, platform: str, service: Service
) -> None:
    with page(browser, platform) as first:
        assert first.play("beater", device={"name": "Laptop"}) == "open"
        first.moves()
        wait_until_asked(first, "POST heartbeat", 2)
        (session,) = service.watching("beater")["sessions"]
        assert session["state"] == "active"
        assert session["device"]["name"] == "Laptop"
        assert session["device"]["id"] == first.tab.evaluate("client.deviceId()")
        assert first.tab.evaluate("localStorage['streamlimit.device']") == session["device"]["id"]
        first.tab.page.close(run_before_unload=False)
        if _is_free_soon(service, "beater"):
            return
    # A heartbeat on its way overtook the end, or a busy browser was gone before it: both are rare.
    with page(browser, platform) as second:
        assert second.play("beater again") == "open"
        second.moves()
        second.tab.page.close(run_before_unload=False)
        assert _is_free_soon(service, "beater again")


def _is_free_soon(service: Service, user: str) -> bool:
    """Does the user hold no seat within 2·X? By silence it would take n·X."""
    try:
        wait_until(lambda: live(service, user) == 0, 2 * X_SECONDS)
    except AssertionError:
        return False
    return True


def test_a_page_that_comes_back_plays_on_with_the_same_grant(browser: Browser, platform: str, service: Service) -> None:
    with page(browser, platform) as embedding:
        embedding.play("back")
        embedding.moves()
        embedding.tab.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
        wait_until_asked(embedding, "POST end", 1)
        embedding.tab.evaluate("video.play()")
        embedding.moves()
        wait_until(lambda: live(service, "back") == 1, 10)
        assert embedding.tab.evaluate("session.state") == "open"


def test_a_refusal_says_who_sits_and_replace_takes_a_seat(browser: Browser, platform: str, service: Service) -> None:
    for other in ("a", "b", "c"):
        assert service.segment("full", other, "clock", device=f"device {other}").status == 200
    with page(browser, platform) as embedding:
        assert embedding.play("full") == "refused"
        refused = embedding.told("refused")
        assert (refused["status"], refused["code"], refused["limit"]) == (409, "session-limit", 3)
        assert {each["device"] for each in refused["sessions"]} == {"device a", "device b", "device c"}
        assert embedding.tab.evaluate("session.replace('b')") is True
        embedding.moves()
        assert embedding.told("open")["live_sessions"] == 3
        sitting = {each["session_id"] for each in service.watching("full")["sessions"]}
        assert "b" not in sitting


def test_a_terminated_session_stops_the_player_and_says_who_did_it(
    browser: Browser, platform: str, service: Service
) -> None:
    with page(browser, platform) as embedding:
        embedding.play("sent-away")
        embedding.moves()
        ended = service.call("DELETE", "/v1/users/sent-away/sessions?reason=enough", key=OPERATOR_KEY)
        assert ended.status == 204
        terminated = embedding.told("terminated")
        assert (terminated["by"], terminated["reason"]) == ("operator", "enough")
        assert embedding.tab.evaluate("video.paused && session.state") == "terminated"
        before = embedding.tab.evaluate("session.id")
        assert embedding.tab.evaluate("session.retry()") is True
        embedding.tab.evaluate("video.play()")
        embedding.moves()
        assert embedding.tab.evaluate("session.id") != before


@pytest.mark.parametrize("player", ["shaka", "dash", "video"])
def test_other_players_are_kept_stopped_and_go_on_where_they_were(
    browser: Browser, platform: str, service: Service, player: str
) -> None:
    user = f"plays-{player}"
    with page(browser, platform) as embedding:
        if player == "video" and not embedding.tab.evaluate("video.canPlayType('application/vnd.apple.mpegurl')"):
            pytest.skip("this Chromium plays no HLS by itself")
        assert embedding.play(user, player=player) == "open"
        embedding.moves()
        wait_until_asked(embedding, "POST heartbeat", 1)
        assert service.call("DELETE", f"/v1/users/{user}/sessions", key=OPERATOR_KEY).status == 204
        embedding.told("terminated")
        embedding.tab.wait_for("video.paused")
        assert embedding.tab.evaluate("session.retry()") is True
        embedding.tab.evaluate("video.play().catch(() => {})")
        embedding.moves()
        assert live(service, user) == 1


def test_a_paused_players_seat_is_kept_lapses_or_is_given_back_as_the_page_wants(
    browser: Browser, platform: str, service: Service
) -> None:
    with page(browser, platform) as holding, page(browser, platform) as releasing, page(browser, platform) as lapsing:
        pages = {"hold": holding, "release": releasing, "lapse": lapsing}
        for pause, embedding in pages.items():
            embedding.play(f"paused-{pause}", pause=pause)
        for embedding in pages.values():
            embedding.moves()
            embedding.tab.evaluate("video.pause()")
        wait_until(lambda: live(service, "paused-release") == 0, 5 * X_SECONDS)
        wait_until(lambda: live(service, "paused-lapse") == 0, 5 * X_SECONDS)
        assert live(service, "paused-hold") == 1
        for embedding in pages.values():
            embedding.tab.evaluate("video.play()")
            embedding.moves()
        assert all(live(service, f"paused-{pause}") == 1 for pause in pages)
        holding.tab.evaluate("session.end()")
        wait_until(lambda: live(service, "paused-hold") == 0, 5 * X_SECONDS)


def test_the_client_is_one_small_module_of_every_service_and_the_package_is_the_same(
    service: Service, tmp_path: Path
) -> None:
    answer = service.get("/client.js")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(answer.body) < MAX_BYTES
    assert b"import " not in answer.body
    assert service.get("/client.js", headers={"If-None-Match": answer.headers["etag"]}).status == 304
    package = Path(__file__).parent.parent.parent / "clients/js"
    assert answer.body == (package / "client.js").read_bytes()
    told = json.loads((package / "package.json").read_text())
    assert {told["main"], told["types"], *told["files"], "LICENSE"} <= {file.name for file in package.iterdir()}
    assert "dependencies" not in told
    exported = {line.split()[2] for line in answer.body.decode().splitlines() if line.startswith("export class")}
    types = (package / "client.d.ts").read_text()
    assert all(f"class {name} " in types for name in exported)
    with started(tmp_path, streams=None) as bare:
        assert bare.get("/client.js").body == answer.body


def wait_until_asked(embedding: Embedding, call: str, times: int) -> None:
    for _ in range(400):
        if embedding.asked.count(call) >= times:
            return
        embedding.tab.page.wait_for_timeout(50)
    raise AssertionError(f"{call} was asked {embedding.asked.count(call)} times: {embedding.asked[-20:]}")
