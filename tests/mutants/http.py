"""Breakages of the HTTP server."""

from tests.mutants.mutant import Mutant

FRAMING, FRAMED = "streamlimit/http/framing.py", "tests/http/test_framing.py"
READER, CONNECTION = "streamlimit/http/reader.py", "streamlimit/http/connection.py"
PATIENCE, HELD, CONNECTED = "streamlimit/http/patience.py", "tests/web/test_held.py", "tests/web/test_connections.py"
LOG_LINES, LOGGED = "streamlimit/log_lines.py", ("tests/test_log_lines.py",)
IDLE = ("tests/test_idle.py",)
FAILING = ("tests/web/test_failures.py",)
BEACONS = ("tests/web/test_rights.py", "-k", "beacon or body")

MUTANTS = [
    Mutant(
        "a body overtakes its head",
        CONNECTION,
        " and not self.is_stuck and not self._held:",
        " and not self.is_stuck:",
        (HELD, "-k", "right_after"),
    ),
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
        READER,
        "if offers and has_body(fields):",
        "if False:",
        (FRAMED, "-k", "upgrade"),
    ),
    Mutant("two Hosts are one", FRAMING, "if is_twice or (", "if (", (FRAMED, "-k", "ambiguous")),
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
        '.strip().lower() == b"chunked"',
        '.strip().lower().endswith(b"chunked")',
        (FRAMED, "-k", "ambiguous"),
    ),
    Mutant(
        "a trailer tells who asks",
        READER,
        "headers, self._read = self._read, []",
        "headers = self._read",
        (CONNECTED, "-k", "trailer"),
    ),
    Mutant(
        "trailers have no end",
        READER,
        "elif self._received - self._size > MAX_HEAD + SLICE",
        "elif self._received < 0 < MAX_HEAD + SLICE",
        (CONNECTED, "-k", "trailer"),
    ),
    Mutant(
        "what comes while an answer is under way overtakes it",
        CONNECTION,
        "elif self._exchange is None and not self.is_stuck and not self._held:",
        "elif not self.is_stuck:",
        (HELD, "-k", "looked_at"),
    ),
    Mutant(
        "who sent too much too early is never read from again",
        CONNECTION,
        "        self.transport.resume_reading()\n",
        "",
        (HELD, "-k", "read_from_again"),
    ),
    Mutant(
        "an answer that never comes keeps its connection",
        CONNECTION,
        "            if not exchange.is_gone:\n                self._close()\n",
        "",
        (HELD, "-k", "without_an_answer"),
    ),
    Mutant(
        "what breaks later, without a task, is never told",
        "streamlimit/web/app.py",
        "        if isinstance(outcome, Exception):\n",
        "        if False:\n",
        FAILING,
    ),
    Mutant(
        "a receipt that breaks keeps its connection",
        CONNECTION,
        "        if self._exchange is exchange:\n            self._exchange = None\n            if not",
        "        if False:\n            if not",
        FAILING,
    ),
    Mutant(
        "who left is taken for somebody who still waits",
        "streamlimit/http/exchange.py",
        "        if self.is_gone:\n            return\n        self._head = None",
        "        self._head = None",
        FAILING,
    ),
    Mutant(
        "a step that has to wait is taken for the answer",
        "streamlimit/store/deferred.py",
        "            if isinstance(answer, Deferred):\n",
        "            if False:\n",
        ("tests/store/test_deferred.py",),
    ),
    Mutant(
        "without a descriptor receipts are guesses",
        CONNECTION,
        "if self.wire is None and not self._tap():",
        "if self.wire is None and self._tap() is None:",
        (HELD, "-k", "no_descriptor"),
    ),
    Mutant(
        "a connection rests in the middle of a request",
        PATIENCE,
        "self._client.is_answering or self._client.stage or left > 0",
        "self._client.is_answering or left > 0",
        (HELD, "-k", "does_not_rest"),
    ),
    Mutant(
        "who does not read is forgotten",
        PATIENCE,
        '        if not self._client.is_delivering:\n            self._await("reading")',
        "        pass",
        (HELD, "-k", "given_up"),
    ),
    Mutant(
        "a closed connection and its patience hold each other",
        PATIENCE,
        "        del self._client\n",
        "",
        ("tests/test_collector.py",),
    ),
]
