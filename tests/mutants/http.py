"""Breakages of the HTTP server."""

from tests.mutants.mutant import Mutant

FRAMING, FRAMED = "streamlimit/web/framing.py", "tests/http/test_framing.py"
LOG_LINES, LOGGED = "streamlimit/log_lines.py", ("tests/test_log_lines.py",)
IDLE = ("tests/test_idle.py",)
BEACONS = ("tests/web/test_rights.py", "-k", "beacon or body")

MUTANTS = [
    Mutant(
        "a beacon's grant is not looked at",
        "streamlimit/web/calls.py",
        "    if grant is None:",
        "    if True:",
        BEACONS,
    ),
    Mutant(
        "an end always takes the grant",
        "streamlimit/web/sessions.py",
        "session_id, form.keep_grant)",
        "session_id)",
        BEACONS,
    ),
    Mutant(
        "a signal waits for the next tick",
        "streamlimit/server.py",
        "self._loop.call_soon_threadsafe(self._wake.set)",
        "pass",
        IDLE,
    ),
    Mutant(
        "nobody is forgotten again and again",
        "streamlimit/cache/watch.py",
        "range(min(-(-remembered // SESSIONS_A_LOOK), LOOKS))",
        "range(LOOKS)",
        IDLE,
    ),
    Mutant(
        "a line leaves before its end",
        LOG_LINES,
        'if text.endswith("\\n"):',
        "if text:",
        LOGGED,
    ),
    Mutant(
        "an upgrade hides a body",
        FRAMING,
        "if is_upgrade and has_body(headers):",
        "if False:",
        (FRAMED, "-k", "upgrade"),
    ),
    Mutant("two Hosts are one", FRAMING, "if len(hosts) > 1 or (", "if (", (FRAMED, "-k", "ambiguous")),
    Mutant(
        "a Host has empty labels",
        FRAMING,
        "[A-Za-z0-9_~-]+(?:\\.[A-Za-z0-9_~-]+)*\\.?",
        "[A-Za-z0-9._~-]+",
        (FRAMED, "-k", "a_host"),
    ),
    Mutant(
        "another coding is taken for chunks alone",
        FRAMING,
        'if codings != [b"chunked"]:',
        'if not codings[-1].endswith(b"chunked"):',
        (FRAMED, "-k", "ambiguous"),
    ),
]
