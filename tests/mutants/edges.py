"""Breakages of edges: streams whose files are elsewhere, and what others deliver."""

from tests.mutants.mutant import Mutant

NAMING, KNOWN, SESSIONS = (
    "streamlimit/delivery/naming.py",
    "streamlimit/delivery/known.py",
    "streamlimit/web/sessions.py",
)
ENTRUSTED, ANSWER, AUTH = (
    "streamlimit/delivery/entrusted.py",
    "streamlimit/edge/answer.py",
    "streamlimit/edge/auth.py",
)
DECISION, ORIGINAL, CALLERS = (
    "streamlimit/edge/decision.py",
    "streamlimit/edge/original.py",
    "streamlimit/edge/callers.py",
)
ASKED, URIS = ("tests/edge/test_auth.py",), ("tests/edge/test_original.py",)
REPORTED, REPORTS = "streamlimit/edge/reported.py", "streamlimit/edge/reports.py"
TOLD = ("tests/edge/test_reports.py",)
LINES, LOG_TESTS = "streamlimit/edge/access_log.py", ("tests/edge/test_access_log.py",)
ACCEL, VIEWER = "streamlimit/edge/accel.py", "streamlimit/web/viewer.py"
REDIRECTED = ("tests/edge/test_nginx_accel.py", "-k", "following or begins or folder")
NAMES, ANY = ("tests/delivery/test_naming.py",), ("tests/web/test_any_stream.py",)

MUTANTS = [
    Mutant(
        "digits of a suffix are a number", NAMING, "stem = path if suffix[1:].isdigit() else", "stem = path or", NAMES
    ),
    Mutant("a parameter makes a segment free", NAMING, " and (before == path or _is_free(before))", "", NAMES),
    Mutant("initial is init", NAMING, "init(?![a-z])", "init", NAMES),
    Mutant("a number has no end", NAMING, "digits[0][-NUMBER_DIGITS:]", "digits[0]", NAMES),
    Mutant(
        "any stream hides the catalog's",
        KNOWN,
        "if self._catalog is not None:\n            try",
        "if self._catalog is not None and not self._any:\n            try",
        ANY,
    ),
    Mutant("playback URLs stay relative", SESSIONS, '(service.settings.public_url or "") + path', "path", ANY),
    Mutant("any segment tells of the one before", ENTRUSTED, "and place.is_after(each.place)]", "]", ASKED),
    Mutant("a skip tells of the one before", ENTRUSTED, "if self._any_later or _follows", "if True or _follows", ASKED),
    Mutant(
        "another address tells what arrived",
        ENTRUSTED,
        "(before.stream_id, before.client,",
        "(before.stream_id, ask.client,",
        ASKED,
    ),
    Mutant("a yes for a playlist is kept", ANSWER, " and yes.place is not None", "", ASKED),
    Mutant("a yes for a newcomer is kept", ANSWER, " and _is_active(yes.admitted)", "", ASKED),
    Mutant("a contradiction is believed", AUTH, "if len(told) > 1:", "if False:", ASKED),
    Mutant(
        "a forged HEAD takes no seat",
        AUTH,
        "min(told - LOOKS, default=min(told))",
        "min(told & LOOKS, default=min(told))",
        ASKED,
    ),
    Mutant(
        "a preflight takes a seat",
        DECISION,
        'LOOKS = frozenset({"HEAD", "OPTIONS"})',
        'LOOKS = frozenset({"HEAD"})',
        ASKED,
    ),
    Mutant("anybody speaks for viewers", CALLERS, "if not proxies.spoke(scope):", "if False:", ASKED),
    Mutant("a fragment ends no path", ORIGINAL, "[#\\\\]", "[\\\\]", URIS),
    Mutant("an encoded play is a stream", ORIGINAL, "if grant is None and stream_id == PLAY:", "if False:", URIS),
    Mutant(
        "an abort is forgotten",
        REPORTED,
        "if report.is_received or report.is_lost else None",
        "if report.is_received else None",
        TOLD,
    ),
    Mutant("an error was received", REPORTED, "self.status in (None, *DELIVERED)", "True", TOLD),
    Mutant("what is old counts", REPORTED, "if age_ms >= self._expiry_ms:", "if False:", TOLD),
    Mutant(
        "the future counts as the future",
        REPORTED,
        "min(max(self._wall() * 1_000 - report.at_ms, 0), LONG_AGO_MS)",
        "min(self._wall() * 1_000 - report.at_ms, LONG_AGO_MS)",
        TOLD,
    ),
    Mutant(
        "a report of another worker moves a session",
        REPORTED,
        "session.move if is_here else session.move - 1",
        "session.move",
        TOLD,
    ),
    Mutant("anybody reports", REPORTS, "if not is_edge_itself(self._proxies, scope):", "if False:", TOLD),
    Mutant("a report moves the position back", REPORTED, "if is_here and is_ahead:", "if is_here:", TOLD),
    Mutant("a short answer was complete", LINES, "return sent >= announced", "return True", LOG_TESTS),
    Mutant("a HEAD is media", LINES, ' or told.get("request_method", "GET") != "GET"', "", LOG_TESTS),
    Mutant(
        "two workers take one socket",
        LINES,
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        LOG_TESTS,
    ),
    Mutant("media is sent twice", VIEWER, "if takes_seat and not self._hands_out:", "if False:", REDIRECTED),
    Mutant(
        "playlists are redirected",
        VIEWER,
        "if takes_seat and not self._hands_out:",
        "if not self._hands_out:",
        REDIRECTED,
    ),
    Mutant("the redirect is read once more", ACCEL, "encoded(original.path, '/')", "original.path", REDIRECTED),
]
