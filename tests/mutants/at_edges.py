"""Who opens a CDN, what an edge's log tells, and who is cut at a media server."""

from tests.mutants.mutant import Mutant

REDIRECTED = ("tests/edge/test_redirect.py",)
VIEWER, TOKEN = "streamlimit/web/responder.py", "streamlimit/edge/access_token.py"

KICKS = ("tests/edge/test_kicking.py",)
LOGS = ("tests/edge/test_access_log.py",)

MUTANTS = [
    Mutant(
        "a zone of IPv6 is a failure",
        "streamlimit/web/address.py",
        "return parsed.ipv4_mapped or IPv6Address(int(parsed))",
        "return parsed.ipv4_mapped or parsed",
        ("tests/web/test_proxies.py", "-k", "neighbourhoods"),
    ),
    Mutant(
        "a kick is tried once",
        "streamlimit/edge/kicking.py",
        "for wait in (0.0, *self._waits):",
        "for wait in (0.0,):",
        KICKS,
    ),
    Mutant("an id is a path", "streamlimit/edge/kicking.py", "clients/{quote(player, '')}", "clients/{player}", KICKS),
    Mutant(
        "an outage cuts viewers",
        "streamlimit/edge/watching.py",
        "continue  # the store",
        "lost()  # the store",
        KICKS,
    ),
    Mutant(
        "a followed log is read from its beginning",
        "streamlimit/edge/followed_file.py",
        "os.lseek(file, 0, os.SEEK_END)",
        "pass",
        LOGS,
    ),
    Mutant(
        "a rotated log is never left",
        "streamlimit/edge/followed_file.py",
        "if not content and self._was_replaced():",
        "if False:",
        LOGS,
    ),
    Mutant(
        "an answer of unknown length was complete",
        "streamlimit/edge/log_names.py",
        'if not told.get("sent_http_content_length"):',
        "if False:",
        LOGS,
    ),
    Mutant(
        "a playlist opens the CDN without a seat",
        VIEWER,
        "self._cookies_of is None or session is None or session.stream_id != ask.stream_id:",
        "self._cookies_of is None:",
        REDIRECTED,
    ),
    Mutant(
        "a seat on one stream opens another",
        VIEWER,
        "session is None or session.stream_id != ask.stream_id:",
        "session is None:",
        REDIRECTED,
    ),
    Mutant(
        "a token of one file opens all that begin so",
        TOKEN,
        "EXACTLY, BEGINS = 0, 1",
        "EXACTLY, BEGINS = 1, 1",
        REDIRECTED,
    ),
    Mutant(
        "an init segment opens the whole stream",
        "streamlimit/edge/redirect.py",
        "if yes.place is None:",
        "if False:",
        REDIRECTED,
    ),
    Mutant(
        "a cookie opens all streams", "streamlimit/edge/signed_cookie.py", "{quote(stream_id, '')}/\"", '"', REDIRECTED
    ),
]
