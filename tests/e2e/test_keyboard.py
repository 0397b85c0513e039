"""Both pages by the keyboard alone: support's way through the console, and a viewer's through /watch."""

from playwright.sync_api import Browser, expect

from streamlimit.settings import key_hash
from tests.e2e.browser import opened
from tests.e2e.keyboard import go_to
from tests.service import Service, service_of_file

ANNA = "the-key-of-anna"
NAMED = {"name": "support-anna", "role": "operate", "hash": key_hash(ANNA)}

service = service_of_file("demo", operator_keys=[NAMED], segment_seconds=8, missed_segments=15)
"""Seats of players that the tests do not have are held for two minutes."""


def seated(service: Service, user: str, *devices: str) -> None:
    for device in devices:
        assert service.segment(user, device, "clock", device={"name": device, "type": "tv"}).status == 200


def test_support_finds_stops_raises_and_takes_it_all_back(browser: Browser, service: Service) -> None:
    seated(service, "kim", "TV", "Phone", "Pad")
    with opened(browser, f"{service.url}/console") as tab:
        page, keys = tab.page, tab.page.keyboard
        tab.wait_for("document.activeElement.name === 'key'")
        keys.type(ANNA)
        keys.press("Enter")
        tab.wait_for("document.activeElement.name === 'user'")
        keys.type("kim")
        keys.press("Enter")
        expect(page.get_by_role("heading", name="kim: 3 of 3 seats")).to_be_visible()

        go_to(page, "Stop Phone")
        keys.press("Enter")
        tab.wait_for("document.activeElement.name === 'reason'")
        keys.type("You called: it was your ex")  # in place of the words that are there
        keys.press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("Phone was stopped")
        told = service.segment("kim", "Phone", "clock")
        assert (told.status, told.json["by"], told.json["reason"]) == (
            410,
            "support-anna",
            "You called: it was your ex",
        )
        tab.wait_for(
            "document.activeElement.textContent === 'Undo'"
        )  # and not nowhere, for the button of Phone is gone

        go_to(page, "Screens")
        expect(page.locator("form#limit").get_by_label("Screens")).to_have_value("4")
        go_to(page, "For how long")
        go_to(page, "Note for your colleagues")
        keys.type("birthday")
        keys.press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("4 screens until")
        own = service.get("/v1/users/kim/limit", key=ANNA).json
        assert (own["max_sessions"], own["note"], own["own"]) == (4, "birthday", True)

        go_to(page, "Undo", "Shift+Tab")
        keys.press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("The limit is as it was")
        assert service.get("/v1/users/kim/limit", key=ANNA).json["own"] is False
        tab.wait_for("document.activeElement.name === 'user'")  # the button of Undo is gone, too
        go_to(page, "Let all stopped sessions come back")
        keys.press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("may come back at once")
        assert service.segment("kim", "Phone", "clock").status == 200
        assert [line for line in tab.messages if " 401 " not in line] == []


def test_escape_stops_nobody(browser: Browser, service: Service) -> None:
    seated(service, "lea", "TV")
    with opened(browser, f"{service.url}/console#key={ANNA}") as tab:
        tab.wait_for("document.activeElement.name === 'user'")
        tab.page.keyboard.type("lea")
        tab.page.keyboard.press("Enter")
        expect(tab.page.get_by_role("heading", name="lea: 1 of 3 seats")).to_be_visible()
        go_to(tab.page, "Stop TV")
        tab.page.keyboard.press("Enter")
        tab.wait_for("document.activeElement.name === 'reason'")
        tab.page.keyboard.press("Escape")
        tab.wait_for("document.activeElement.getAttribute('aria-label') === 'Stop TV'")
        assert service.segment("lea", "TV", "clock").status == 200


def test_a_viewer_stops_another_screen_and_takes_the_seat_back(browser: Browser, service: Service) -> None:
    seated(service, "max", "TV", "Pad")
    state = "document.querySelectorAll('.player')[%d].dataset.state === '%s'"
    with opened(browser, f"{service.url}/watch?user=max&players=2") as tab:
        page, keys = tab.page, tab.page.keyboard
        tab.wait_for("document.querySelectorAll('.player').length === 2")
        go_to(page, "Start")
        keys.press("Enter")
        tab.wait_for(state % (0, "playing"), 30)
        go_to(page, "Start")  # the second player's
        keys.press("Enter")
        tab.wait_for(state % (1, "waiting"), 30)
        go_to(page, "Stop Living-room TV and watch here")
        keys.press("Enter")
        tab.wait_for(state % (1, "playing"), 30)
        tab.wait_for(state % (0, "terminated"), 30)
        go_to(page, "Take the seat back for Living-room TV", "Shift+Tab")
        keys.press("Enter")
        tab.wait_for(state % (0, "playing"), 30)
        go_to(page, "Wall", "Shift+Tab")
        keys.press("Enter")
        tab.wait_for("document.body.classList.contains('wall')")
        keys.press("Escape")
        tab.wait_for("!document.body.classList.contains('wall')")
