"""hls.js, Shaka and dash.js in a real Chromium keep their seats by CMCD alone, whoever moves the bytes."""

from playwright.sync_api import Browser

from tests.e2e.browser import opened
from tests.e2e.cmcd_players import PLAYERS, STREAM, start
from tests.service import Service, service_of_file, wait_until

service = service_of_file(segment_seconds=30, ledger_streams="any")


def _seen(service: Service, user: str) -> str | None:
    sessions = service.watching(user)["sessions"]
    return sessions[0]["last_activity_at"] if sessions else None


def test_three_players_keep_their_seats_by_their_reports_and_two_free_them_at_the_end(
    service: Service, browser: Browser, site: str
) -> None:
    for player in PLAYERS:
        told = service.post("/v1/sessions", {"user_id": player, "stream_id": STREAM, "session_id": "tab"}).json
        with opened(browser, f"{site}/{player}") as tab:
            start(tab, f"{site}/samples/{STREAM}/", player, f"{service.url}/edge/cmcd/{told['grant']}")
            tab.wait_for("video.currentTime > 0.5", seconds=60)
            wait_until(lambda name=player: _seen(service, name) is not None, 30, f"a report of {player}")
            first = _seen(service, player)
            wait_until(lambda name=player, old=first: _seen(service, name) != old, 30, f"another of {player}")
            if player == "shaka":
                continue  # tells no states: its end is that it reports no more
            tab.evaluate("void (video.currentTime = video.duration - 0.3)")
            wait_until(lambda name=player: _seen(service, name) is None, 60, f"the end of {player}: {tab.messages}")
    assert '"status": 4' not in service.log()
