"""Breakages of the JavaScript client."""

from tests.mutants.mutant import Mutant

CLIENT, TESTS = "streamlimit/web/static/client.js", "tests/e2e/test_client.py::test_"
BEATS = (TESTS + "a_playing_page_sends_heartbeats_and_a_closed_tab_frees_its_seat",)
BACK = (TESTS + "a_page_that_comes_back_plays_on_with_the_same_grant",)
TERMINATED = (TESTS + "a_terminated_session_stops_the_player_and_says_who_did_it",)

MUTANTS = [
    Mutant(
        "a page that plays sends no heartbeat", CLIENT, "() => video.paused || this.#beatIfDue())", "() => 0)", BEATS
    ),
    Mutant("a closed tab says nothing", CLIENT, "navigator.sendBeacon(", "String(", BEATS),
    Mutant("a page is a new device each time", CLIENT, '(localStorage["streamlimit.device"] ??= made)', "made", BEATS),
    Mutant(
        "a page that goes away kills its grant",
        CLIENT,
        "grant: this.grant, keep_grant: true",
        "grant: this.grant",
        BACK,
    ),
    Mutant("a terminated page asks with its old id", CLIENT, ' && this.state !== "terminated"', "", TERMINATED),
    Mutant("a lost seat plays on", CLIENT, "      this.#video?.pause();\n", "", TERMINATED),
]
