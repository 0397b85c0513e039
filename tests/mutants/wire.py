"""Breakages of the client of Valkey, of what nginx does in front of workers, and of signals."""

from tests.mutants.mutant import Mutant

CONNECTION, CLOCK = "streamlimit/store/valkey/connection.py", "streamlimit/store/valkey/clock.py"
GIVEN_UP = "tests/store/test_valkey_given_up.py"
HUNG = (GIVEN_UP, "-k", "server_that_hung or held_back")

MUTANTS = [
    Mutant(
        "a script is carried out after its deadline",
        "streamlimit/store/valkey/clock.lua",
        "if now >= tonumber(ARGV[#ARGV])",
        "if false",
        HUNG,
    ),
    Mutant(
        "a script's deadline is a while after it was given up",
        CONNECTION,
        "        due = monotonic() + self._timeout\n",
        "        due = monotonic() + 60\n",
        (GIVEN_UP, "-k", "server_that_hung"),
    ),
    Mutant(
        "who asked last before the connection was given up fails with the others, though it is carried out",
        CONNECTION,
        "        self._fail_what_is_due()\n\n    def _fail_what",
        "        self._fail(len(self._waiting), HANGS)\n        self._forget()\n\n    def _fail_what",
        (GIVEN_UP, "-k", "asked_last"),
    ),
    Mutant(
        "a server whose clock was set refuses everything",
        "streamlimit/store/valkey/router.py",
        "            pipe.clock.hear(float(rest))\n            self._again(pipe, call)",
        "            call.fail(text)",
        (GIVEN_UP, "-k", "clock_was_set"),
    ),
]
