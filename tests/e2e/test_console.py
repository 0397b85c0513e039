"""The page /console in a real Chromium: support looks a user up, stops a session, gives a screen, and takes it back."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Page, expect

from streamlimit.settings import key_hash
from tests.e2e.accessibility import grave_findings
from tests.service import Service, service_of_file, started, wait_until

ANNA, READER = "the-key-of-anna", "the-key-of-a-reader"
KEYS = [
    {"name": "support-anna", "role": "operate", "hash": key_hash(ANNA)},
    {"name": "wallboard", "role": "read", "hash": key_hash(READER)},
]
ODD = "<img src=/nowhere onerror=window.broken=1>\"'&amp;\u202e desrever"

service = service_of_file("demo", operator_keys=KEYS, segment_seconds=20)


@contextmanager
def console(browser: Browser, service: Service, where: str = "", key: str | None = ANNA) -> Iterator[Page]:
    """The page in a profile of its own, signed in with *key*. It must ask no other host, and find nothing wrong."""
    page = browser.new_page()
    wrong: list[str] = []
    page.on("console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(service.url) else wrong.append(asked.url))
    try:
        page.goto(f"{service.url}/console" + (f"#key={key}" if key else ""))
        if where:
            expect(page.get_by_role("navigation", name="Sections")).to_be_visible()
            page.evaluate(f"location.hash = {where!r}")
        yield page
        assert [line for line in wrong if " 401 " not in line] == []
    finally:
        page.close()


def seated(service: Service, user: str, *devices: str, stream: str = "clock") -> None:
    for device in devices:
        told = service.segment(user, device.replace("/", ""), stream, device={"name": device, "type": "tv"})
        assert told.status == 200, told.body


def seat(page: Page, device: str) -> Any:
    return page.locator("#seats .seat").filter(has_text=device)


def test_a_key_signs_in_and_stays_in_this_tab_and_out_of_the_address(browser: Browser, service: Service) -> None:
    with console(browser, service, key=None) as page:
        assert grave_findings(page) == []
        page.get_by_label("Operator key").fill("no-such-key")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("not valid here")
        assert grave_findings(page) == []
        page.get_by_label("Operator key").fill(ANNA)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("Signed in as support-anna")).to_be_visible()
        page.reload()
        expect(page.get_by_text("Signed in as support-anna")).to_be_visible()
        assert ANNA not in page.url
        assert page.context.cookies() == []
        assert page.evaluate("Object.keys(localStorage).length") == 0
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Operator key")).to_be_focused()
        assert page.evaluate("Object.keys(sessionStorage).length") == 0
    with console(browser, service) as page:
        expect(page.get_by_text("Signed in as support-anna")).to_be_visible()
        assert page.evaluate("location.href") == f"{service.url}/console"


def test_who_sits_is_told_and_one_is_stopped_with_a_message_that_its_viewer_sees_and_undone(
    browser: Browser, service: Service
) -> None:
    seated(service, "ada", "TV", "Phone")
    with console(browser, service) as page:
        page.get_by_label("User").first.fill("ada")
        page.get_by_role("button", name="Look up").click()
        expect(page.get_by_role("heading", name="ada: 2 of 3")).to_be_visible()
        seated(service, "ada", "TV", "Phone")
        expect(seat(page, "TV")).to_contain_text(re.compile(r"since \d\d:\d\d, last segment \d s ago"))
        assert grave_findings(page) == []
        seat(page, "TV").get_by_role("button", name="Stop TV").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Message").fill("You called: it was your ex")
        assert grave_findings(page) == []
        dialog.get_by_role("button", name="Stop it").click()
        expect(page.get_by_role("status").first).to_contain_text("TV was stopped")
        told = service.segment("ada", "TV", "clock")
        assert (told.status, told.json["by"]) == (410, "support-anna")
        assert told.json["reason"] == "You called: it was your ex"
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("status").first).to_contain_text("It may come back at once")
        assert service.segment("ada", "TV", "clock").status == 200


def test_one_more_screen_until_tomorrow_and_back(browser: Browser, service: Service) -> None:
    with console(browser, service, "#users/bob") as page:
        form = page.locator("form#limit")
        expect(form.get_by_label("Screens")).to_have_value("4")
        form.get_by_label("Note").fill("birthday <b>party</b>")
        form.get_by_role("button", name="Set this limit").click()
        expect(page.locator("#person")).to_contain_text("A limit of their own: 4, until")
        expect(page.locator("#person")).to_contain_text("(birthday <b>party</b>)")
        own = service.get("/v1/users/bob/limit", key=ANNA).json
        assert (own["max_sessions"], own["note"], own["own"]) == (4, "birthday <b>party</b>", True)
        assert own["until"] is not None
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#person")).to_contain_text("The usual limit")
        assert service.get("/v1/users/bob/limit", key=ANNA).json["own"] is False


def test_a_reader_looks_and_cannot_act(browser: Browser, service: Service) -> None:
    seated(service, "carl", "TV")
    with console(browser, service, "#users/carl", READER) as page:
        expect(page.get_by_text("who may only look")).to_be_visible()
        expect(page.get_by_role("button", name="Stop TV")).to_be_disabled()
        for button in ("Set this limit", "Let all stopped sessions come back"):
            expect(page.get_by_role("button", name=button)).to_be_disabled()


def test_names_full_of_markup_and_turned_text_are_shown_as_text(browser: Browser, service: Service) -> None:
    seated(service, "odd'user\"<b>", ODD)
    with console(browser, service, "#sessions") as page:
        cell = page.locator("#rows bdi").filter(has_text="<img src=/nowhere").first
        expect(cell).to_be_visible()
        assert cell.evaluate("e => getComputedStyle(e).unicodeBidi") == "isolate"
        page.get_by_role("link", name="odd'user\"<b>").click()
        expect(page.get_by_role("heading", name="odd'user\"<b>: 1 of 3")).to_be_visible()
        expect(seat(page, "<img src=/nowhere")).to_contain_text("desrever")
        assert page.evaluate("document.querySelectorAll('main img').length") == 0
        assert page.evaluate("window.broken") is None


def test_sessions_are_filtered_and_paged_by_the_service(browser: Browser, service: Service) -> None:
    for number in range(21):
        seated(service, f"many-{number:02}", "TV", "Phone", "Pad", stream="orchard")
    with console(browser, service, "#sessions") as page:
        filters, rows = page.locator("#filters"), page.locator("#rows tr")
        filters.get_by_label("Device has").fill("pHo")
        filters.get_by_role("button", name="Show").click()
        expect(rows.filter(has_text="TV")).to_have_count(0)
        expect(rows.filter(has_text="many-20")).to_have_count(1)
        filters.get_by_label("Device has").fill("")
        filters.get_by_label("Stream").fill("orchard")
        filters.get_by_role("button", name="Show").click()
        expect(rows).to_have_count(25)
        expect(rows.first).to_contain_text("many-00")
        page.get_by_role("button", name="Next page").click()
        expect(page.locator("#page-number")).to_contain_text("Page 2, 25 sessions")
        assert grave_findings(page) == []
        page.get_by_role("button", name="Previous page").click()
        expect(page.locator("#page-number")).to_contain_text("Page 1")
        expect(rows.first).to_contain_text("many-00")
        filters.get_by_label("User").fill("many-07")
        filters.get_by_role("button", name="Show").click()
        expect(rows).to_have_count(3)


def test_what_happened_is_told_in_words_with_who_did_it(browser: Browser, service: Service) -> None:
    seated(service, "hal", "TV", "Phone", "Pad")
    refused = service.segment("hal", "Laptop", "clock", device={"name": "Laptop <b>", "type": "computer"})
    assert refused.status == 409
    assert service.call("DELETE", "/v1/users/hal/sessions/TV?reason=not%20theirs", key=ANNA).status == 204
    with console(browser, service, "#users/hal") as page:
        history = page.locator("#history tr")
        expect(history.filter(has_text="stopped by support-anna")).to_contain_text("not theirs")
        expect(history.filter(has_text="refused")).to_contain_text("all seats were taken (3 of 3)")
        expect(history.filter(has_text="refused")).to_contain_text("Laptop <b>")
        expect(history.filter(has_text="started")).to_have_count(3)
        assert grave_findings(page) == []


def test_a_refusal_by_a_limit_within_the_user_does_not_say_that_all_seats_were_taken(
    browser: Browser, tmp_path: Path
) -> None:
    with started(tmp_path, "demo", operator_keys=KEYS, max_per_stream=1) as capped:
        seated(capped, "hal", "TV")
        assert capped.segment("hal", "Pad", "clock").status == 409
        with console(browser, capped, "#users/hal") as page:
            refused = page.locator("#history tr").filter(has_text="refused")
            expect(refused).to_contain_text("its stream or type of device had no more seats (1 of 3 taken)")


def test_in_the_morning_it_is_said_that_it_was_last_night(browser: Browser, service: Service) -> None:
    message = "You called at midnight, and asked us to stop the television in the living room for you"
    seated(service, "mia", "TV", "Phone")
    assert service.call("DELETE", f"/v1/users/mia/sessions/TV?reason={quote(message)}", key=ANNA).status == 204
    page = browser.new_page()
    try:
        page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=1))
        page.goto(f"{service.url}/console#key={ANNA}")
        expect(page.get_by_role("navigation", name="Sections")).to_be_visible()
        page.evaluate("location.hash = '#users/mia'")
        stopped = page.locator("#history tr").filter(has_text="stopped by support-anna")
        expect(stopped.locator("td").first).to_have_text(re.compile(r"^\w{3}, .*\d+.*\d\d:\d\d:\d\d$"))
        expect(seat(page, "Phone")).to_contain_text(re.compile(r"since \w{3}, .*\d\d:\d\d, last"))
        why = stopped.locator("td").last
        expect(why).to_have_text(message)
        assert why.evaluate("e => e.scrollWidth <= e.clientWidth"), "all of the message is to be read"
    finally:
        page.close()


def test_who_is_not_known_and_what_is_no_id_are_said(browser: Browser, service: Service) -> None:
    with console(browser, service, "#users/mistyped") as page:
        expect(page.get_by_role("heading", name="mistyped: 0 of 3 seats")).to_be_visible()
        expect(page.locator("#no-history")).to_contain_text("spelt otherwise")
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if "/v1/users/" in each.url else None)
    try:
        page.clock.install()
        page.goto(f"{service.url}/console#key={ANNA}")
        page.get_by_label("User").first.fill("a/b")
        page.get_by_role("button", name="Look up").click()
        expect(page.get_by_role("alert")).to_contain_text("holds a slash")
        before = len(asked)
        page.clock.run_for(20_000)
        assert len(asked) == before, "it is not asked again and again"
    finally:
        page.close()


def test_events_come_as_they_happen_and_stand_still_when_told_to(browser: Browser, service: Service) -> None:
    with console(browser, service, "#events") as page:
        rows = page.locator("#feed tr")
        expect(page.locator("#connection")).to_contain_text("Connected")
        seated(service, "ivy", ODD)
        expect(rows.filter(has_text="ivy").first).to_contain_text("<img src=/nowhere")
        page.get_by_role("button", name="Hold still").click()
        seated(service, "jon", "TV")
        page.wait_for_timeout(600)  # more than two turns of drawing
        expect(rows.filter(has_text="jon")).to_have_count(0)
        page.get_by_role("button", name="Hold still").click()
        expect(rows.filter(has_text="jon")).to_have_count(1)
        page.locator("#choice").get_by_label("Show").select_option("session.terminated")
        page.locator("#choice").get_by_role("button", name="Show").click()
        expect(page.locator("#connection")).to_contain_text("Connected")
        assert service.call("DELETE", "/v1/users/jon/sessions/TV", key=ANNA).status == 204
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text("stopped by support-anna")
        assert grave_findings(page) == []


def test_whose_key_is_taken_back_is_signed_out_and_told_why(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "streamlimit.toml"
    file.write_text(f'operator_keys = [{{name = "anna", role = "operate", hash = "{key_hash(ANNA)}"}}]\n')
    with started(tmp_path, operator_keys=None) as own, console(browser, own, "#events") as page:
        expect(page.locator("#connection")).to_contain_text("Connected")
        file.write_text(f'operator_keys = [{{name = "ben", role = "operate", hash = "{key_hash(READER)}"}}]\n')
        own.process.send_signal(signal.SIGHUP)
        expect(page.get_by_role("alert")).to_contain_text("not valid here, or no longer", timeout=20_000)
        expect(page.get_by_label("Operator key")).to_be_focused()
        assert page.evaluate("Object.keys(sessionStorage).length") == 0


def test_charts_say_what_they_cover_and_have_words_beside_them(browser: Browser, service: Service) -> None:
    seated(service, "dora", "TV")
    with console(browser, service, "#charts") as page:
        expect(page.locator("figure")).to_have_count(7)
        expect(page.locator("figure canvas")).to_have_count(7)
        expect(page.locator("#covers")).to_contain_text("a restart begins anew")
        expect(page.locator("figure").filter(has_text="Segments received")).to_contain_text("at most")
        page.get_by_label("the last day").check()
        expect(page.locator("figure canvas")).to_have_count(9)
        expect(page.locator("figure").filter(has_text="Users by hour, on all machines")).to_contain_text("refused: ")
        assert grave_findings(page) == []


def test_health_tells_of_store_workers_and_webhooks(browser: Browser, service: Service) -> None:
    with console(browser, service, "#health") as page:
        parts = page.locator("#parts > div")
        for name, word in (
            ("Store", "answers and takes a write"),
            ("Workers", "all run"),
            ("Webhooks", "nothing lost"),
        ):
            expect(parts.filter(has_text=name).first).to_contain_text(word)
        expect(parts.filter(has_text="Workers")).to_contain_text("1 of 1")
        assert grave_findings(page) == []


def test_on_a_phone_nothing_is_wider_than_the_screen_and_the_keyboard_reaches_all(
    browser: Browser, service: Service
) -> None:
    seated(service, "eve", "TV")
    with console(browser, service, "#users/eve") as page:
        page.set_viewport_size({"width": 360, "height": 740})
        expect(seat(page, "TV")).to_be_visible()
        for section in ("users/eve", "sessions", "events", "charts", "health"):
            page.evaluate(f"location.hash = '#{section}'")
            page.wait_for_timeout(100)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, section
        page.evaluate("location.hash = '#users/eve'; document.activeElement.blur()")
        reached = set()
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
        assert {"Skip to the content", "Users", "Sign out", "Look up", "Stop …", "Set this limit"} <= reached


def test_the_page_is_there_without_streams_and_hands_its_key_only_to_a_browser_at_home(
    browser: Browser, tmp_path: Path
) -> None:
    with started(tmp_path, streams=None, operator_keys=None) as bare:
        with console(browser, bare, key=None) as page:
            expect(page.get_by_text("Signed in as operator")).to_be_visible()
        home = {"Sec-Fetch-Site": "same-origin"}
        key = bare.post("/console/key", headers=home).json["key"]
        assert bare.get("/v1/stats", key=key).status == 200
        for away in (
            {},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "none"},
            home | {"Host": f"evil.example:{bare.port}"},
            home | {"X-Forwarded-For": "127.0.0.1"},
            home | {"Forwarded": "for=127.0.0.1"},
            home | {"Via": "1.1 proxy"},
        ):
            assert bare.post("/console/key", headers=away).status == 401, away


def test_a_key_of_the_settings_is_handed_to_nobody(service: Service) -> None:
    assert service.post("/console/key", headers={"Sec-Fetch-Site": "same-origin"}).status == 401


def test_the_page_runs_no_script_but_its_files_and_sits_in_no_frame(service: Service) -> None:
    headers = service.get("/console").headers
    policy = headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert "set-cookie" not in headers


def test_me_tells_who_a_credential_speaks_for(service: Service) -> None:
    assert service.get("/v1/me", key=ANNA).json == {
        "role": "operator",
        "name": "support-anna",
        "user_id": None,
        "session_id": None,
    }
    form = {"user_id": "fay", "session_id": "f1", "stream_id": "clock"}
    grant = service.post("/v1/sessions", form).json["grant"]
    assert service.get("/v1/me", key=grant).json == {
        "role": "grant",
        "name": None,
        "user_id": "fay",
        "session_id": "f1",
    }
    assert service.get("/v1/me").json["role"] == "local"


def test_the_series_are_of_what_was_decided(service: Service) -> None:
    seated(service, "gil", "TV")
    told = service.get("/v1/stats/series?span=day", key=READER).json
    assert told["span"] == "day"
    assert len(told["at"]) == len(told["segments"]) == len(told["live_sessions"])
    assert service.get("/v1/stats/series?span=year", key=READER).status == 400
    wait_until(lambda: service.get("/v1/stats", key=READER).json["users_at_limit"] is not None, 10, "a count")
    assert service.get("/v1/stats", key=READER).json["workers"] == {"running": 1, "expected": 1}
