"""Breakages of the HTTP server: framing, order of answers, receipts."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "a body overtakes its head",
        "streamlimit/http/connection.py",
        " and not self.is_stuck and not self._held:",
        " and not self.is_stuck:",
        ("tests/web/test_held.py", "-k", "right_after"),
    ),
    Mutant(
        "what comes while an answer is under way overtakes it",
        "streamlimit/http/connection.py",
        "elif self._exchange is None and not self.is_stuck and not self._held:",
        "elif not self.is_stuck:",
        ("tests/web/test_held.py", "-k", "looked_at"),
    ),
    Mutant(
        "a receipt that breaks keeps its connection",
        "streamlimit/http/connection.py",
        "        if self._exchange is exchange:\n            self._exchange = None\n            if not",
        "        if False:\n            if not",
        ("tests/web/test_failures.py",),
    ),
    Mutant(
        "without a descriptor receipts are guesses",
        "streamlimit/http/connection.py",
        "if self.wire is None and not self._tap():",
        "if self.wire is None and self._tap() is None:",
        ("tests/web/test_held.py", "-k", "no_descriptor"),
    ),
    Mutant(
        "two Hosts are one",
        "streamlimit/http/framing.py",
        "if is_twice or (",
        "if (",
        ("tests/http/test_framing.py", "-k", "ambiguous"),
    ),
    Mutant(
        "another coding is taken for chunks alone",
        "streamlimit/http/framing.py",
        '.strip().lower() == b"chunked"',
        '.strip().lower().endswith(b"chunked")',
        ("tests/http/test_framing.py", "-k", "ambiguous"),
    ),
    Mutant(
        "a head with a coding is taken for a plain one",
        "streamlimit/http/reader.py",
        'len(fields) == len(headers) and b"transfer-encoding" not in fields',
        "len(fields) == len(headers)",
        ("tests/http/test_framing.py", "-k", "ambiguous"),
    ),
    Mutant(
        "a head with two hosts is taken for a plain one",
        "streamlimit/http/reader.py",
        'is_plain and len(fields) == len(headers) and b"transfer',
        'is_plain and b"transfer',
        ("tests/http/test_framing.py", "-k", "ambiguous"),
    ),
    Mutant(
        "an upgrade hides a body",
        "streamlimit/http/reader.py",
        "if offers and has_body(fields):",
        "if False:",
        ("tests/http/test_framing.py", "-k", "upgrade"),
    ),
    Mutant(
        "a trailer tells who asks",
        "streamlimit/http/reader.py",
        "headers, self._read = self._read, []",
        "headers = self._read",
        ("tests/web/test_connections.py", "-k", "trailer"),
    ),
    Mutant(
        "a body is answered as the request that it looks like",
        "streamlimit/http/connection.py",
        "            if self._reader.stage:\n                self._read(data)\n            elif",
        "            if",
        ("tests/http/test_repeats.py", "-k", "looks_like"),
    ),
    Mutant(
        "two requests are answered as one",
        "streamlimit/http/connection.py",
        'self._exchange, self._came = self._exchange, None, b""',
        "self._exchange, self._came = self._exchange, None, self._came",
        ("tests/http/test_repeats.py", "-k", "remembered"),
    ),
    Mutant(
        "another client is answered as the one who hammers",
        "streamlimit/http/repeats.py",
        "self.known.get((client, asked))",
        "next((told for (_, each), told in self.known.items() if each == asked), None)",
        ("tests/http/test_repeats.py", "-k", "another"),
    ),
]
