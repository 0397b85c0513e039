"""Who opens a CDN, what an edge's log tells, and who is cut at a media server."""

from tests.mutants.mutant import Mutant

REDIRECTED = ("tests/edge/test_redirect.py",)
VIEWER, TOKEN = "streamlimit/web/viewer.py", "streamlimit/edge/access_token.py"

MUTANTS = [
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
        "a cookie opens all streams", "streamlimit/edge/signed_cookie.py", "{quote(stream_id, '')}/\"", '"', REDIRECTED
    ),
]
