"""Breakages of the JavaScript client."""

from tests.mutants.mutant import Mutant

CLIENT, PAGES = "streamlimit/web/static/client.js", ("tests/e2e/test_client.py",)

MUTANTS = [
    Mutant(
        "a page that plays sends no heartbeat", CLIENT, "() => video.paused || this.#beatIfDue())", "() => 0)", PAGES
    ),
    Mutant("a closed tab says nothing", CLIENT, "navigator.sendBeacon(", "String(", PAGES),
    Mutant(
        "a page that goes away kills its grant",
        CLIENT,
        "grant: this.grant, keep_grant: true",
        "grant: this.grant",
        PAGES,
    ),
    Mutant("a terminated page asks with its old id", CLIENT, ' && this.state !== "terminated"', "", PAGES),
    Mutant("a page is a new device each time", CLIENT, '(localStorage["streamlimit.device"] ??= made)', "made", PAGES),
    Mutant("a lost seat plays on", CLIENT, "      this.#video?.pause();\n", "", PAGES),
]
