"""Varnish, as deploy/ ships it, moves the bytes to hls.js, Shaka and dash.js in which nothing is set but CMCD."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import Tab, opened
from tests.e2e.cmcd_players import PLAYERS, STREAM, play_to_the_end, start
from tests.edge.calls import some_user
from tests.edge.programs import Edge
from tests.edge.recipes import Recipes
from tests.service import SAMPLES, temporary_folder, wait_until

X, N = 4, 3
SILENCE = {"hlsjs": N * X, "dashjs": N * X, "shaka": X}
"""How long each reports after its last fetch, at the least, in seconds: Shaka fetches on until 10 s before the end."""
FOURTH = "fourth"
SECONDS = 90
"""How long a state may take to come on a busy machine."""

LOSSES = ("session.expired", "session.ended", "session.terminated", "session.abandoned")
LAST_FETCHED = """new Date(performance.timeOrigin + Math.max(...performance.getEntriesByType('resource')
    .filter(({name}) => name.includes('/seg-')).map(({startTime}) => startTime))).toISOString()"""


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with temporary_folder() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "streams").symlink_to(SAMPLES)
        settings = {"segment_seconds": X, "missed_segments": N, "start_seconds": SECONDS}
        yield Recipes(stack, folder, **settings).edge("varnish")


class Household:
    """One user's tabs: a session for each player, and one more whose seat is free again."""

    def __init__(self, edge: Edge, browser: Browser, site: str) -> None:
        self.edge, self.user, self._browser, self._site = edge, some_user(), browser, site
        self._grants = {FOURTH: edge.open(self.user, FOURTH, STREAM)["grant"]}
        edge.service.post(f"/v1/users/{self.user}/sessions/{FOURTH}/end", {"keep_grant": True})
        self._grants |= {player: edge.open(self.user, player, STREAM)["grant"] for player in PLAYERS}
        self.seen: dict[str, list[dict[str, Any]]] = {name: [] for name in self._grants}

    @contextmanager
    def tab(self, player: str, session: str | None = None) -> Iterator[Tab]:
        """A tab in which *player* has begun; it knows Varnish and nothing of streamlimit."""
        grant, varnish = self._grants[session or player], f"http://127.0.0.1:{self.edge.port}"
        with opened(self._browser, f"{self._site}/{player}") as tab:
            start(tab, f"{varnish}/play/{grant}/{STREAM}/", player, f"{varnish}/edge/cmcd/{grant}")
            yield tab

    @contextmanager
    def three(self) -> Iterator[dict[str, Tab]]:
        """All three players play."""
        with ExitStack() as stack:
            tabs = {player: stack.enter_context(self.tab(player)) for player in PLAYERS}
            for tab in tabs.values():
                tab.wait_for("video.currentTime > 1", SECONDS)
            yield tabs

    def seats(self) -> set[str]:
        """Who holds one; what was seen of each is kept."""
        sessions = self.edge.service.watching(self.user)["sessions"]
        for session in sessions:
            self.seen[session["session_id"]].append(session)
        return {session["session_id"] for session in sessions}

    def departures(self) -> dict[str, list[str]]:
        """How each player's session lost its seat."""
        found: dict[str, list[str]] = {}
        self.edge.service.sweep()
        lines = self.edge.service.log().splitlines()
        for line in (json.loads(text) for text in lines if text.startswith("{")):
            if line.get("user_id") == self.user and line["event"] in LOSSES and line["session_id"] in PLAYERS:
                found.setdefault(line["session_id"], []).append(line["event"])
        return found


def test_three_play_to_the_end_by_their_reports_and_a_fourth_is_refused_and_told_why(
    edge: Edge, browser: Browser, site: str
) -> None:
    home = Household(edge, browser, site)
    with home.three() as tabs:
        for tab in tabs.values():
            tab.evaluate("void (video.playbackRate = 0.2)")  # the film is short, and whoever is at its end leaves
        for player in PLAYERS:
            with home.tab(player, FOURTH) as late:
                late.wait_for("failures.some(({status}) => status === 409)", SECONDS)
                wait_until(lambda tab=late: _is_report_refused(tab), SECONDS, f"the answer to a report of {player}")
                (told, *_) = late.evaluate("failures.filter(({status}) => status === 409).map(({body}) => body)")
                assert json.loads(told)["code"] == "session-limit"
                assert {each["session_id"] for each in json.loads(told)["sessions"]} == set(PLAYERS)
        for tab in tabs.values():
            tab.evaluate("void (video.playbackRate = 1, video.currentTime = 22)")
        for tab in tabs.values():
            play_to_the_end(tab, SECONDS, meanwhile=home.seats)
        last_fetched = {player: _moment(tab.evaluate(LAST_FETCHED)) for player, tab in tabs.items()}
        wait_until(lambda: not home.seats(), SECONDS, "the seats of who is at the end to be free")
    # Shaka tells no states: its end is that it is unloaded, and reports no more.
    left = home.departures()
    # On a busy machine dash.js stops short of its end, and may say so again whenever play is pressed.
    assert set(left.pop("dashjs")) == {"session.ended"}
    assert left == {"hlsjs": ["session.ended"], "shaka": ["session.expired"]}
    assert home.seen[FOURTH] == []
    for player, fetched in last_fetched.items():
        beats = [_moment(session["last_activity_at"]) for session in home.seen[player]]
        assert max(beats) - fetched > timedelta(seconds=SILENCE[player]), player


def test_the_seat_of_a_closed_tab_is_soon_free_and_who_was_refused_plays(
    edge: Edge, browser: Browser, site: str
) -> None:
    home = Household(edge, browser, site)
    with home.three() as tabs:
        assert home.seats() == set(PLAYERS)
        for tab in tabs.values():
            tab.close()
        wait_until(lambda: not home.seats(), SECONDS, "the seats of closed tabs to be free")
    assert home.departures() == {player: ["session.expired"] for player in PLAYERS}
    for sessions in home.seen.values():
        assert len({session["started_at"] for session in sessions}) <= 1
    with home.tab("hlsjs", FOURTH) as late:
        late.wait_for("video.currentTime > 1", SECONDS)
        assert home.seats() == {FOURTH}


def _is_report_refused(tab: Tab) -> bool:
    tab.evaluate("true")  # what it writes is heard of meanwhile
    return any("/edge/cmcd/" in line and " 409 " in line for line in tab.messages)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
