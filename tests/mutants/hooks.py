"""Breakages of what players and media servers tell by protocols of their own."""

from tests.mutants.mutant import Mutant

CMCD, CMCD_TESTS = "streamlimit/edge/cmcd_report.py", ("tests/edge/test_cmcd.py",)
SEATING = "streamlimit/edge/seating.py"
REDIRECTED = ("tests/edge/test_redirect.py",)
SERVERS = ("tests/edge/test_media_servers.py",)

MUTANTS = [
    Mutant(
        "a player that pauses plays",
        CMCD,
        "Says.PAUSES if state in PAUSES else Says.PLAYS",
        "Says.PLAYS",
        CMCD_TESTS,
    ),
    Mutant("a player's end is the last of its batch", CMCD, "told = [report]", "told += [report]", CMCD_TESTS),
    Mutant("a player that seeks after its end takes a seat", CMCD, 'frozenset("kw")', "frozenset()", CMCD_TESTS),
    Mutant("an ended play kills the grant", SEATING, "keep_grant=True", "keep_grant=False", CMCD_TESTS),
    Mutant(
        "a viewer's own parameters count last",
        "streamlimit/edge/rtmp.py",
        'found.setdefault(unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict"))',
        'found[unquote_plus(name, errors="strict")] = unquote_plus(value, errors="strict")',
        SERVERS,
    ),
    Mutant("an old connection's end is the session's", SEATING, " or last not in (None, player)", "", SERVERS),
    Mutant(
        "all connections of a grant are one play",
        SEATING,
        "caller if play is None else",
        "caller if True else",
        SERVERS,
    ),
    Mutant(
        "SRS's end of nobody is the viewer's",
        "streamlimit/edge/srs.py",
        "and grant and player:",
        "and grant:",
        SERVERS,
    ),
    Mutant(
        "MediaMTX lets viewers at its API",
        "streamlimit/edge/mediamtx.py",
        'asked.action != "publish"',
        "False",
        SERVERS,
    ),
    Mutant(
        "any signature of OvenMediaEngine is good",
        "streamlimit/edge/ome.py",
        "if not hmac.compare_digest(made, told):",
        "if not told:",
        SERVERS,
    ),
    Mutant(
        "a look is handed a signed URL",
        "streamlimit/edge/redirect.py",
        'if scope["method"] != "GET":',
        'if scope["method"] not in ("GET", "HEAD"):',
        REDIRECTED,
    ),
    Mutant(
        "a signed URL is good for ever", "streamlimit/edge/signed_url.py", "now + cdn.lifetime", "now + 1e9", REDIRECTED
    ),
    Mutant(
        "a pause that is repeated never ends",
        "streamlimit/edge/pauses.py",
        "if self._told.get(key) == session.last_activity_ms:",
        "if False:",
        ("tests/edge/test_pauses.py",),
    ),
]
