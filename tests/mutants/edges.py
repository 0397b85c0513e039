"""Breakages of edges: who may ask and report, and what a yes opens."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "a short answer was complete",
        "streamlimit/edge/access_log.py",
        "return sent >= announced",
        "return True",
        ("tests/edge/test_access_log.py",),
    ),
    Mutant(
        "a token of one file opens all that begin so",
        "streamlimit/edge/access_token.py",
        "EXACTLY, BEGINS = 0, 1",
        "EXACTLY, BEGINS = 1, 1",
        ("tests/edge/test_redirect.py",),
    ),
    Mutant(
        "an app's heartbeat starts a session",
        "streamlimit/edge/adobe.py",
        ", may_start=False)",
        ")",
        ("tests/edge/test_adobe.py",),
    ),
    Mutant(
        "a yes for a newcomer is kept",
        "streamlimit/edge/answer.py",
        " and _is_active(yes.admitted)",
        "",
        ("tests/edge/test_auth.py",),
    ),
    Mutant(
        "a contradiction is believed",
        "streamlimit/edge/auth.py",
        "if len(told) > 1:",
        "if False:",
        ("tests/edge/test_auth.py",),
    ),
    Mutant(
        "a forged HEAD takes no seat",
        "streamlimit/edge/auth.py",
        "min(told - LOOKS, default=min(told))",
        "min(told & LOOKS, default=min(told))",
        ("tests/edge/test_auth.py",),
    ),
    Mutant(
        "anybody speaks for viewers",
        "streamlimit/edge/callers.py",
        "if not proxies.spoke(scope):",
        "if False:",
        ("tests/edge/test_auth.py",),
    ),
    Mutant(
        "any signature of OvenMediaEngine is good",
        "streamlimit/edge/ome.py",
        "if not hmac.compare_digest(made, told):",
        "if not told:",
        ("tests/edge/test_media_servers.py",),
    ),
    Mutant(
        "an abort is forgotten",
        "streamlimit/edge/reported.py",
        "if report.is_received or report.is_lost else None",
        "if report.is_received else None",
        ("tests/edge/test_reports.py",),
    ),
    Mutant(
        "anybody reports",
        "streamlimit/edge/reports.py",
        "if not is_edge_itself(self._proxies, scope):",
        "if False:",
        ("tests/edge/test_reports.py",),
    ),
    Mutant(
        "an old connection's end is the session's",
        "streamlimit/edge/seating.py",
        " or last not in (None, player)",
        "",
        ("tests/edge/test_media_servers.py",),
    ),
    Mutant(
        "a signed URL is good for ever",
        "streamlimit/edge/signed_url.py",
        "now + cdn.lifetime",
        "now + 1e9",
        ("tests/edge/test_redirect.py",),
    ),
    Mutant(
        "an outage cuts viewers",
        "streamlimit/edge/watching.py",
        "continue  # the store",
        "lost()  # the store",
        ("tests/edge/test_kicking.py",),
    ),
    Mutant(
        "a player that seeks after its end takes a seat",
        "streamlimit/edge/cmcd_report.py",
        'frozenset("kw")',
        "frozenset()",
        ("tests/edge/test_cmcd.py",),
    ),
]
