"""Breakages of what people see and do: operators' names, the console, the viewer's page."""

from tests.mutants.mutant import Mutant

AUTH, KEYS = "streamlimit/web/auth.py", "streamlimit/settings/keys.py"
ACCESS = "streamlimit/bootstrap/access.py"
NAMES = ("tests/web/test_operator_names.py",)
PAGE, SERIES = "streamlimit/web/console/page.py", "streamlimit/web/console/series.py"
BROWSING, STATIC = "streamlimit/web/browsing.py", "streamlimit/web/static/"
CONSOLE, WATCH = "tests/e2e/test_console.py::test_", "tests/e2e/test_watch.py::test_"
NUMBERS, DEVICES = ("tests/web/test_series.py",), ("tests/web/test_browsing_devices.py",)
HOME = (CONSOLE + "the_page_is_there_without_streams_and_hands_its_key_only_to_a_browser_at_home",)
NOBODY = (CONSOLE + "a_key_of_the_settings_is_handed_to_nobody",)
MARKUP = (CONSOLE + "names_full_of_markup_and_turned_text_are_shown_as_text",)
SIGNED_IN = (CONSOLE + "a_key_signs_in_and_stays_in_this_tab_and_out_of_the_address",)
STOPPED = (CONSOLE + "who_sits_is_told_and_one_is_stopped_with_a_message_that_its_viewer_sees_and_undone",)
TAKEN = (WATCH + "watch_here_instead_takes_the_seat_and_the_other_player_says_who_has_it",)
TOKEN = (WATCH + "a_viewer_with_a_token_sees_their_own_seats_and_the_address_keeps_none",)
WRONG = ("tests/test_settings.py", "-k", "wrong_setting")

MUTANTS = [
    Mutant(
        "an operator has no name",
        AUTH,
        "return Caller(key.role, name=key.name)",
        'return Caller(key.role, name="operator")',
        NAMES,
    ),
    Mutant("the role read operates", ACCESS, '"read": "reader"', '"read": "operator"', NAMES),
    Mutant("an operator calls themselves viewer", KEYS, "if name == VIEWER:", "if not name:", WRONG),
    Mutant("a name turns the text", KEYS, '[0] == "C"', '[0] == "Q"', WRONG),
    Mutant("another site is handed the key", PAGE, 'headers.get("sec-fetch-site") == "same-origin"', "True", HOME),
    Mutant("who comes by a proxy is at home", PAGE, "not any(name in headers for name in HANDED_ON)", "True", HOME),
    Mutant("a name turned to us is home", PAGE, "host in LOOPBACK_NAMES", "True", HOME),
    Mutant(
        "a key of the settings is handed out",
        PAGE,
        "if made and settings.operator_keys == made else None",
        "if made else settings.operator_keys[0].get_secret_value()",
        NOBODY,
    ),
    Mutant(
        "a device's name is markup",
        STATIC + "console/dom.js",
        "cell.textContent = text;",
        "cell.innerHTML = text;",
        MARKUP,
    ),
    Mutant(
        "the key stays in the address",
        STATIC + "console.js",
        'history.replaceState(null, "", location.pathname);',
        "",
        SIGNED_IN,
    ),
    Mutant(
        "undo of a stop does nothing",
        STATIC + "console/users.js",
        'if (await done(call("DELETE", path), words)) offer',
        "if (true) offer",
        STOPPED,
    ),
    Mutant(
        "the seat is not taken back",
        STATIC + "watch/player.js",
        "this.start(this.#problem?.by_session_id)",
        "this.start()",
        TAKEN,
    ),
    Mutant(
        "a token stays in the address",
        STATIC + "watch/service.js",
        'history.replaceState(null, "", location.pathname + location.search);',
        "",
        TOKEN,
    ),
    Mutant("rates are counts", SERIES, "max(grown, 0) / (new.at - old.at)", "max(grown, 0)", NUMBERS),
    Mutant("an old count of sessions is a new one", SERIES, "<= FRESH_SECONDS", "<= 1_000 * FRESH_SECONDS", NUMBERS),
    Mutant(
        "a page of a device loses sessions",
        BROWSING,
        "            break  # the next page begins with these\n",
        "            pass\n",
        DEVICES,
    ),
    Mutant("a page of a device looks for ever", BROWSING, " and looked < MOST_LOOKED", "", DEVICES),
]
