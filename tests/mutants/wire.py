"""Breakages of the client of Valkey, of what nginx does in front of workers, and of signals."""

from tests.mutants.mutant import Mutant

CONNECTION, CLOCK = "streamlimit/store/valkey/connection.py", "streamlimit/store/valkey/clock.py"
GIVEN_UP = "tests/store/test_valkey_given_up.py"
HUNG = (GIVEN_UP, "-k", "server_that_hung or held_back")
RELOAD = "tests/test_reload.py"
REDIRECTS = "tests/store/test_valkey_redirects.py"

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
    Mutant(
        "who is sent to a port without a host goes to a host of no name",
        "streamlimit/store/valkey/discovery.py",
        "(host or asked[0], int(port))",
        "(host, int(port))",
        (REDIRECTS,),
    ),
    Mutant(
        "a server that does not know its own name is asked again and again",
        "streamlimit/store/valkey/router.py",
        "        if node.address == pipe.address:",
        "        if False:",
        (REDIRECTS, "-k", "sent_back"),
    ),
    Mutant(
        "a layout with a gap gives the gap to the piece before it",
        "streamlimit/store/valkey/discovery.py",
        "if firsts[0] <= slot <= last else None",
        "if firsts[0] <= slot else None",
        (REDIRECTS, "-k", "pieces"),
    ),
    Mutant(
        "a key that was taken out of the settings still opens what it did",
        "streamlimit/web/auth.py",
        "self._keys = list(keys)\n        self._forget()",
        "self._keys = list(keys)",
        (RELOAD, "-k", "keys_and_plans"),
    ),
    Mutant(
        "the parent keeps a signal to read the settings again to itself",
        "streamlimit/server.py",
        "                os.kill(process.pid, signal.SIGHUP)",
        "                pass",
        (RELOAD, "-k", "every_worker"),
    ),
    Mutant(
        "a worker that starts later has the settings of before",
        "streamlimit/server.py",
        "            self.config.app = factory.read_again()",
        "            factory.read_again()",
        (RELOAD, "-k", "every_worker"),
    ),
    Mutant(
        "a worker that only starts is ended by a signal to read the settings again",
        "streamlimit/server.py",
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})",
        "signal.pthread_sigmask(signal.SIG_BLOCK, set())",
        (RELOAD, "-k", "only_starts"),
    ),
    Mutant(
        "types of call backs are taken over though the store's scripts do not know them",
        "streamlimit/bootstrap/reload.py",
        "{e.name: e.types for e in open_endpoints(old)} == {e.name: e.types for e in open_endpoints(new)}",
        "{e.name for e in open_endpoints(old)} == {e.name for e in open_endpoints(new)}",
        (RELOAD, "-k", "TestCallBacks"),
    ),
    Mutant(
        "a settings file that is gone takes all keys along",
        "streamlimit/settings/load.py",
        "    if settings.file is not None and not settings.file.exists():\n",
        "    if False:\n",
        (RELOAD, "-k", "gone"),
    ),
]
