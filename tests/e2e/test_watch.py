"""The page /watch in a real Chromium: it plays, waits, says who sits, moves, gives seats back."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.browser import Browser, Page, open_browser
from tests.needs import needs
from tests.service import Service, started, temporary_folder, wait_until

pytestmark = pytest.mark.xdist_group("watch")

X_SECONDS = 2
EXPIRY_SECONDS = 3 * X_SECONDS
MARKUP = "<img src=/nowhere onerror=window.broken=1>"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder, started(Path(folder), "demo") as running:
        yield running


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test; without a browser it skips, or fails in CI."""

    @wraps(test)
    def run(*args: Any, **more: Any) -> None:
        needs("chromium")

        async def whole() -> None:
            async with asyncio.timeout(60):
                await test(*args, **more)

        asyncio.run(whole())

    return run


class Watch:
    """The page as a person uses it. Players count from 0."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, player: int, button: str) -> None:
        await self.page.evaluate(f"{element(player)}.querySelector('.{button}').click()")

    async def choose(self, player: int, stream_id: str) -> None:
        select = f"{element(player)}.querySelector('select')"
        await self.page.evaluate(
            f"{select}.value = '{stream_id}', {select}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        )

    async def replace(self, player: int, device: str) -> None:
        """Presses "Watch here instead" beside *device*."""
        holders = f"[...{element(player)}.querySelectorAll('.holder')]"
        await self.page.evaluate(
            f"{holders}.find(h => h.textContent.includes('{device}')).querySelector('button').click()"
        )

    async def reaches(self, player: int, state: str, seconds: float = 20) -> None:
        await self.page.wait_for(f"{element(player)}.dataset.state === '{state}'", seconds)

    async def plays_on(self, *players: int, seconds: float = 20) -> None:
        """Each plays, for a second more than now, and decodes frames meanwhile."""
        for player in players:
            await self.reaches(player, "playing", seconds)
        before = {player: await self.progress(player) for player in players}
        for player, (position, frames) in before.items():
            video = f"{element(player)}.querySelector('video')"
            moved = f"{video}.currentTime > {position + 1}"
            decoded = f"{video}.getVideoPlaybackQuality().totalVideoFrames > {frames + 3}"
            await self.page.wait_for(f"{moved} && {decoded} && !{video}.paused", seconds)

    async def progress(self, player: int) -> tuple[float, int]:
        video = f"{element(player)}.querySelector('video')"
        position, frames = await self.page.evaluate(
            f"[{video}.currentTime, {video}.getVideoPlaybackQuality().totalVideoFrames]"
        )
        return position, frames

    async def text(self, player: int) -> str:
        told: str = await self.page.evaluate(f"{element(player)}.querySelector('.told').innerText")
        return told

    async def shows(self, text: str, where: str = "main") -> None:
        await self.page.wait_for(f"document.querySelector('{where}').innerText.includes({text!r})")


def element(player: int) -> str:
    return f"document.querySelectorAll('.player')[{player}]"


@asynccontextmanager
async def watch(service: Service, user: str, more: str = "") -> AsyncIterator[tuple[Watch, Browser]]:
    """A browser of its own with the page of *user*."""
    async with open_browser() as browser:
        yield await open_watch(browser, service, user, more), browser


async def open_watch(browser: Browser, service: Service, user: str, more: str = "") -> Watch:
    page = await browser.new_page(f"{service.url}/watch?user={user}{more}")
    await page.wait_for("document.querySelector('.player')")
    return Watch(page)


async def wait_for_seats(service: Service, user: str, taken: int, seconds: float) -> None:
    await asyncio.to_thread(wait_until, lambda: seats(service, user) == taken, seconds, f"{taken} seats of {user}")


def seats(service: Service, user: str) -> int:
    found: int = service.watching(user)["live_sessions"]
    return found


@in_a_loop
async def test_three_players_play_and_the_fourth_says_who_sits_until_one_stops(service: Service) -> None:
    async with watch(service, "four") as (page, _browser):
        for player in (0, 1, 2):
            await page.press(player, "start")
        await page.plays_on(0, 1, 2)
        await page.press(3, "start")
        await page.reaches(3, "waiting")
        told = await page.text(3)
        assert "3 of 3 seats are taken" in told
        for device, title in (
            ("Living-room TV", "Aurora over the fjord"),
            ("Tablet", "The station clock"),
            ("Phone", "Harbour at dusk"),
        ):
            assert re.search(rf"{device}\s+(active|idle)\s+{title}\s+since [\d:]+ · active .*\s+free in \d", told), told
        await page.shows("3 of 3 seats taken")
        await page.plays_on(0, 1, 2)
        await page.plays_on(0, 1, 2)
        assert await page.page.evaluate(f"{element(3)}.dataset.state") == "waiting"
        assert seats(service, "four") == 3

        await page.press(1, "stop")
        await page.reaches(3, "playing", EXPIRY_SECONDS + 2)
        await page.plays_on(0, 2, 3)
        await page.shows("3 of 3 seats taken")
        assert seats(service, "four") == 3
        strange = [text for text in page.page.messages if not text.endswith("/v1/sessions") or " 409 " not in text]
        assert strange == []


@in_a_loop
async def test_a_running_player_changes_its_stream_on_the_same_seat(service: Service) -> None:
    async with watch(service, "mover", "&players=1&autostart=1") as (page, _browser):
        await page.plays_on(0)
        (before,) = service.watching("mover")["sessions"]
        await page.choose(0, "orchard")
        await page.plays_on(0)
        await page.shows("An orchard in spring", "#sessions")
        (after,) = service.watching("mover")["sessions"]
        assert (before["stream_id"], after["stream_id"]) == ("aurora", "orchard")
        assert before["session_id"] == after["session_id"]
        assert before["started_at"] == after["started_at"]
        assert page.page.messages == []


@in_a_loop
async def test_watch_here_instead_takes_the_seat_and_the_other_player_says_who_has_it(
    service: Service,
) -> None:
    async with watch(service, "taker", "&autostart=1") as (page, _browser):
        await page.plays_on(0, 1, 2)
        await page.reaches(3, "waiting")
        await page.replace(3, "Tablet")
        await page.plays_on(3)
        await page.reaches(1, "terminated")
        assert "Laptop took this seat" in await page.text(1)
        await page.plays_on(0, 2, 3)
        await page.press(1, "start")  # a new session: the terminated one stays out
        await page.reaches(1, "waiting")


@in_a_loop
async def test_a_player_that_was_paused_too_long_says_who_has_its_seat_when_it_goes_on(
    service: Service,
) -> None:
    async with watch(service, "pauser", "&players=1&autostart=1") as (page, _browser):
        await page.plays_on(0)
        await page.page.evaluate("document.querySelector('video').pause()")
        await page.reaches(0, "paused")
        await wait_for_seats(service, "pauser", 0, 2 * EXPIRY_SECONDS)
        for other in ("a", "b", "c"):
            assert service.segment("pauser", other, "clock", device=f"device {other}").status == 200
        await page.page.evaluate("document.querySelector('video').play()")
        await page.reaches(0, "waiting")
        assert "device b" in await page.text(0)
        stopped_at = await page.page.evaluate("document.querySelector('video').currentTime")
        for other in ("a", "b", "c"):
            service.post(f"/v1/users/pauser/sessions/{other}/end")
        await page.plays_on(0)
        position, _frames = await page.progress(0)
        assert position > stopped_at, "it goes on where it was"


@in_a_loop
async def test_the_end_of_a_session_is_sent_after_a_heartbeat_that_is_still_under_way(
    service: Service,
) -> None:
    async with watch(service, "ghost", "&players=1&autostart=1") as (page, _browser):
        await page.page.evaluate(
            """(() => {
                const real = window.fetch;
                window.calls = [];
                window.held = new Promise((release) => (window.release = release));
                window.fetch = async (path, request) => {
                    const name = path.split("/").pop();
                    if (request.method === "POST") calls.push(name + " asked");
                    if (name === "heartbeat") await held;
                    const answer = await real(path, request);
                    if (request.method === "POST") calls.push(name + " answered");
                    return answer;
                };
            })()"""
        )
        await page.page.wait_for("calls.includes('heartbeat asked')")
        await page.press(0, "stop")
        await page.reaches(0, "stopped")
        assert await page.page.evaluate("calls.join()") == "heartbeat asked"
        await page.page.evaluate("release()")
        await page.page.wait_for("calls.includes('end answered')")
        order = "heartbeat asked,heartbeat answered,end asked,end answered"
        assert await page.page.evaluate("calls.join()") == order
        assert seats(service, "ghost") == 0


@in_a_loop
async def test_a_closed_tab_and_a_killed_browser_give_their_seats_back(service: Service) -> None:
    async with watch(service, "crash", "&players=2&autostart=1") as (page, browser):
        await page.plays_on(0, 1)
        await page.page.close()
        await wait_for_seats(service, "crash", 0, EXPIRY_SECONDS + 1)
        page = await open_watch(browser, service, "crash", "&players=2&autostart=1")
        await page.plays_on(0, 1)
        await kill(browser)
        assert seats(service, "crash") == 2, "a browser that is killed says nothing"
        await wait_for_seats(service, "crash", 0, EXPIRY_SECONDS + 1)


async def kill(browser: Browser) -> None:
    """kill -9 to all of it."""
    told = await browser._protocol.call("SystemInfo.getProcessInfo")
    for process in told["processInfo"]:
        try:
            os.kill(process["id"], signal.SIGKILL)
        except ProcessLookupError:
            pass  # it went with its parent


@in_a_loop
async def test_what_devices_and_users_are_called_is_shown_as_text(service: Service) -> None:
    for session in ("a", "b", "c"):
        device = {"id": session, "name": MARKUP, "type": "tv"}
        assert service.segment("markup", session, "clock", device=device).status == 200
    async with watch(service, "markup", "&players=1&autostart=1") as (page, _browser):
        await page.reaches(0, "waiting")
        await page.shows(MARKUP, "#sessions")
        assert MARKUP in await page.text(0)
        assert await page.page.evaluate("document.querySelectorAll('main img').length") == 0
        for asked, used in (("%3Cb%3Enobody", r"<b>nobody"), ("a%2Fb", r"demo-\w{4}")):
            strange = await open_watch(_browser, service, asked, "&players=1")
            name = await strange.page.evaluate("document.getElementById('user').value")
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
