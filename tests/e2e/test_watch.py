"""The page /watch in a real Chromium: it plays, waits, says who sits, moves, gives seats back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from streamlimit.settings import key_hash
from tests.e2e.accessibility import grave_findings
from tests.e2e.browser import Tab, another, kill, opened
from tests.service import Service, service_of_file, started, wait_until
from tests.web.provider import running_provider

X_SECONDS = 2
EXPIRY_SECONDS = 3 * X_SECONDS
ANNA = "the-key-of-anna"
NAMED = {"name": "support-anna", "role": "operate", "hash": key_hash(ANNA)}
MARKUP = "<img src=/nowhere onerror=window.broken=1>\"'&amp;\u202e desrever"

service = service_of_file("demo", operator_keys=[NAMED])


class Watch:
    """The page as a person uses it. Players count from 0."""

    def __init__(self, page: Tab) -> None:
        self.page = page

    def press(self, player: int, button: str) -> None:
        self.page.evaluate(f"{element(player)}.querySelector('.{button}').click()")

    def choose(self, player: int, stream_id: str) -> None:
        select = f"{element(player)}.querySelector('select')"
        self.page.evaluate(
            f"{select}.value = '{stream_id}', {select}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        )

    def replace(self, player: int, device: str) -> None:
        """Presses "Watch here instead" beside *device*."""
        holders = f"[...{element(player)}.querySelectorAll('.holder')]"
        self.page.evaluate(f"{holders}.find(h => h.textContent.includes('{device}')).querySelector('button').click()")

    def reaches(self, player: int, state: str, seconds: float = 20) -> None:
        self.page.wait_for(f"{element(player)}.dataset.state === '{state}'", seconds)

    def plays_on(self, *players: int, seconds: float = 20) -> None:
        """Each plays, for a second more than now, and decodes frames meanwhile."""
        for player in players:
            self.reaches(player, "playing", seconds)
        before = {player: self.progress(player) for player in players}
        for player, (position, frames) in before.items():
            video = f"{element(player)}.querySelector('video')"
            moved = f"{video}.currentTime > {position + 1}"
            decoded = f"{video}.getVideoPlaybackQuality().totalVideoFrames > {frames + 3}"
            self.page.wait_for(f"{moved} && {decoded} && !{video}.paused", seconds)

    def progress(self, player: int) -> tuple[float, int]:
        video = f"{element(player)}.querySelector('video')"
        position, frames = self.page.evaluate(
            f"[{video}.currentTime, {video}.getVideoPlaybackQuality().totalVideoFrames]"
        )
        return position, frames

    def text(self, player: int) -> str:
        told: str = self.page.evaluate(f"{element(player)}.querySelector('.overlay').innerText")
        return told

    def shows(self, text: str, where: str = "main") -> None:
        self.page.wait_for(f"document.querySelector('{where}').innerText.includes({text!r})")


def element(player: int) -> str:
    return f"document.querySelectorAll('.player')[{player}]"


@contextmanager
def watch(browser: Browser, service: Service, user: str, more: str = "") -> Iterator[Watch]:
    """The page of *user* in a profile of its own."""
    with opened(browser, f"{service.url}/watch?user={user}{more}") as tab:
        tab.wait_for("document.querySelector('.player')")
        yield Watch(tab)
        assert [url for url in tab.requests if not url.startswith((service.url, f"blob:{service.url}"))] == []
        assert [text for text in tab.messages if text.startswith("uncaught")] == []


def wait_for_seats(service: Service, user: str, taken: int, seconds: float) -> None:
    wait_until(lambda: seats(service, user) == taken, seconds, f"{taken} seats of {user}")


def seats(service: Service, user: str) -> int:
    found: int = service.watching(user)["live_sessions"]
    return found


def test_three_players_play_and_the_fourth_says_who_sits_until_one_stops(browser: Browser, service: Service) -> None:
    with watch(browser, service, "four") as page:
        for player in (0, 1, 2):
            page.press(player, "start")
        page.plays_on(0, 1, 2)
        page.press(3, "start")
        page.reaches(3, "waiting")
        told = page.text(3)
        assert "3 of 3 seats are taken" in told
        for device, title in (
            ("Living-room TV", "Aurora over the fjord"),
            ("Tablet", "The station clock"),
            ("Phone", "Harbour at dusk"),
        ):
            assert re.search(rf"{device}\s+(active|idle)\s+{title}\s+since [\d:]+ · active .*\s+free in \d", told), told
        page.shows("3 of 3 seats taken")
        page.plays_on(0, 1, 2)
        page.plays_on(0, 1, 2)
        assert page.page.evaluate(f"{element(3)}.dataset.state") == "waiting"
        assert seats(service, "four") == 3

        page.press(1, "stop")
        page.reaches(3, "playing", EXPIRY_SECONDS + 2)
        page.plays_on(0, 2, 3)
        page.shows("3 of 3 seats taken")
        assert seats(service, "four") == 3
        strange = [text for text in page.page.messages if not text.endswith("/v1/sessions") or " 409 " not in text]
        assert strange == []


def test_at_a_limit_within_the_user_it_says_which_and_asks_no_sooner_than_the_refusal_says(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        started(tmp_path, "demo", segment_seconds=60, max_per_stream=1) as capped,
        watch(browser, capped, "capped", "&players=2") as page,
    ):
        page.choose(1, "aurora")
        page.press(0, "start")
        page.plays_on(0)
        page.press(1, "start")
        page.reaches(1, "waiting")
        assert "1 of 1 seats for this stream are taken" in page.text(1)
        requests, asks, looks = (
            page.page.requests,
            f"{capped.url}/v1/sessions",
            f"{capped.url}/v1/users/capped/sessions",
        )
        asked, enough = requests.count(asks), requests.count(looks) + 3
        while requests.count(looks) < enough:
            page.page.page.wait_for_timeout(50)
        assert requests.count(asks) == asked


def test_a_running_player_changes_its_stream_on_the_same_seat(browser: Browser, service: Service) -> None:
    with watch(browser, service, "mover", "&players=1&autostart=1") as page:
        page.plays_on(0)
        (before,) = service.watching("mover")["sessions"]
        page.choose(0, "orchard")
        page.plays_on(0)
        page.shows("An orchard in spring", "#sessions")
        (after,) = service.watching("mover")["sessions"]
        assert (before["stream_id"], after["stream_id"]) == ("aurora", "orchard")
        assert before["session_id"] == after["session_id"]
        assert before["started_at"] == after["started_at"]
        assert page.page.messages == []


def test_watch_here_instead_takes_the_seat_and_the_other_player_says_who_has_it(
    browser: Browser,
    service: Service,
) -> None:
    with watch(browser, service, "taker", "&autostart=1") as page:
        page.plays_on(0, 1, 2)
        page.reaches(3, "waiting")
        page.replace(3, "Tablet")
        page.plays_on(3)
        page.reaches(1, "terminated")
        assert "Laptop took this seat" in page.text(1)
        assert grave_findings(page.page.page) == []
        page.plays_on(0, 2, 3)
        page.press(1, "back")  # as a new session, in place of the one that took the seat
        page.plays_on(1)
        page.reaches(3, "terminated")
        assert "Tablet took this seat" in page.text(3)
        page.press(3, "start")  # without asking for a seat of anybody's
        page.reaches(3, "waiting")


def test_who_is_stopped_by_an_operator_reads_the_name_and_the_message(browser: Browser, service: Service) -> None:
    with watch(browser, service, "stopped", "&players=1&autostart=1") as page:
        page.plays_on(0)
        (session,) = service.watching("stopped")["sessions"]
        place = f"/v1/users/stopped/sessions/{session['session_id']}?reason=You%20called%3A%20%3Cb%3Enot%20you"
        assert service.call("DELETE", place, key=ANNA).status == 204
        page.reaches(0, "terminated")
        assert "Stopped by support-anna" in page.text(0)
        assert "You called: <b>not you" in page.text(0)
        assert grave_findings(page.page.page) == []
        assert page.page.evaluate(f"{element(0)}.querySelector('.back').hidden"), "no seat of an operator's to take"


def test_a_wall_of_four_fills_the_screen_and_escape_leaves_it(browser: Browser, service: Service) -> None:
    with watch(browser, service, "wall", "&wall=1") as page:
        tab = page.page.page
        tab.set_viewport_size({"width": 1600, "height": 900})
        boxes = [tab.locator(".player").nth(number).bounding_box() for number in range(4)]
        assert all(box and box["width"] > 700 and box["height"] > 400 for box in boxes)
        assert not tab.locator(".top").is_visible()
        assert tab.evaluate("document.documentElement.scrollHeight") <= 900
        assert grave_findings(tab) == []
        tab.keyboard.press("Escape")
        assert tab.locator(".top").is_visible()


def test_nothing_keeps_anybody_from_using_it_on_a_phone_or_by_ear(browser: Browser, service: Service) -> None:
    for session in ("a", "b", "c"):
        assert service.segment("axe", session, "clock", device=f"device {session}").status == 200
    with watch(browser, service, "axe", "&players=2&autostart=1") as page:
        page.reaches(0, "waiting")
        assert grave_findings(page.page.page) == []
        page.page.page.set_viewport_size({"width": 360, "height": 740})
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_viewer_with_a_token_sees_their_own_seats_and_the_address_keeps_none(
    browser: Browser, tmp_path: Path
) -> None:
    with running_provider() as provider, started(tmp_path, **provider.settings()) as closed:
        with opened(browser, f"{closed.url}/watch") as tab:
            tab.wait_for("!document.getElementById('credential').hidden")
            assert grave_findings(tab.page) == []
        with opened(browser, f"{closed.url}/watch?players=1&user=mallory#token={provider.token('ada')}") as tab:
            tab.wait_for("document.querySelector('.player')")
            page = Watch(tab)
            page.press(0, "start")
            page.plays_on(0)
            assert "token" not in tab.page.url
            assert tab.page.context.cookies() == []
            told = closed.get("/v1/users/ada/sessions", key=provider.token("ada")).json
            assert told["live_sessions"] == 1


def test_a_player_that_was_paused_too_long_says_who_has_its_seat_when_it_goes_on(
    browser: Browser,
    service: Service,
) -> None:
    with watch(browser, service, "pauser", "&players=1&autostart=1") as page:
        page.plays_on(0)
        page.page.evaluate("document.querySelector('video').pause()")
        page.reaches(0, "paused")
        wait_for_seats(service, "pauser", 0, 2 * EXPIRY_SECONDS)
        for other in ("a", "b", "c"):
            assert service.segment("pauser", other, "clock", device=f"device {other}").status == 200
        page.page.evaluate("document.querySelector('video').play()")
        page.reaches(0, "waiting")
        assert "device b" in page.text(0)
        stopped_at = page.page.evaluate("document.querySelector('video').currentTime")
        for other in ("a", "b", "c"):
            service.post(f"/v1/users/pauser/sessions/{other}/end")
        page.plays_on(0)
        position, _frames = page.progress(0)
        assert position > stopped_at, "it goes on where it was"


def test_the_end_of_a_session_is_sent_after_a_heartbeat_that_is_still_under_way(
    browser: Browser,
    service: Service,
) -> None:
    with watch(browser, service, "ghost", "&players=1&autostart=1") as page:
        page.page.evaluate(
            """(() => {
                const real = window.fetch;
                window.calls = [];
                window.held = new Promise((release) => (window.release = release));
                window.fetch = async (path, request) => {
                    const name = path.split("/").pop();
                    if (request.method === "POST") calls.push(name + " asked");
                    if (name === "heartbeat") await held;
                    try {
                        return await real(path, request);
                    } finally {
                        if (request.method === "POST") calls.push(name + " over");
                    }
                };
            })()"""
        )
        page.page.wait_for("calls.includes('heartbeat asked')")
        page.press(0, "stop")
        page.reaches(0, "stopped")
        assert page.page.evaluate("calls.join()") == "heartbeat asked"
        page.page.evaluate("release()")
        page.page.wait_for("calls.includes('end over')")
        order = "heartbeat asked,heartbeat over,end asked,end over"
        assert page.page.evaluate("calls.join()") == order
        assert seats(service, "ghost") == 0


def test_a_closed_tab_and_a_killed_browser_give_their_seats_back(browser: Browser, service: Service) -> None:
    with watch(browser, service, "closer", "&players=2&autostart=1") as closed:
        killed = another(browser)
        with watch(killed, service, "crash", "&players=2&autostart=1") as page:
            page.plays_on(0, 1)
            kill(killed)
        assert seats(service, "crash") == 2, "a browser that is killed says nothing"
        closed.plays_on(0, 1)
        closed.page.close()
        wait_for_seats(service, "closer", 0, EXPIRY_SECONDS + 1)
        wait_for_seats(service, "crash", 0, EXPIRY_SECONDS + 1)


def test_what_devices_and_users_are_called_is_shown_as_text(browser: Browser, service: Service) -> None:
    for session in ("a", "b", "c"):
        device = {"id": session, "name": MARKUP, "type": "tv"}
        assert service.segment("markup", session, "clock", device=device).status == 200
    with watch(browser, service, "markup", "&players=1&autostart=1") as page:
        page.reaches(0, "waiting")
        page.shows(MARKUP, "#sessions")
        assert MARKUP in page.text(0)
        assert page.page.evaluate("document.querySelectorAll('main img').length") == 0
        assert page.page.evaluate("window.broken") is None
        turned = "[...document.querySelectorAll('bdi')].filter(e => e.textContent.includes('desrever'))"
        assert page.page.evaluate(f"new Set({turned}.map(e => getComputedStyle(e).unicodeBidi)).size") == 1
        assert page.page.evaluate(f"getComputedStyle({turned}[0]).unicodeBidi") == "isolate"
        for asked, used in (("%3Cb%3Enobody", r"<b>nobody"), ("a%2Fb", r"demo-\w{4}")):
            with watch(browser, service, asked, "&players=1") as strange:
                name = strange.page.evaluate("document.getElementById('user').value")
            assert re.fullmatch(used, name), "what is no user id is not used"


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(service: Service) -> None:
    answer = service.get("/watch")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    html = answer.body.decode()
    used = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert used
    for path in used:
        assert path.startswith("/static/")
        assert service.get(path).status == 200, path
    assert not re.search(r"<script(?![^>]*(src=|application/json))", html)


def test_a_static_file_is_typed_and_sent_once(service: Service) -> None:
    first = service.get("/static/watch.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = service.get("/static/watch.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    for outside in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/", "/static/nothing.js"):
        assert service.get(outside).status == 404, outside


def test_the_root_leads_to_the_page_and_without_streams_there_is_none(service: Service, tmp_path: Path) -> None:
    assert b"<title>Watch" in service.get("/").body
    with started(tmp_path, streams=None) as bare:
        assert bare.get("/").status == 404
        assert bare.get("/watch").status == 404
