"""Ends, marks, grants, what a worker lets out ahead of the store, a store's clock: seats that must not come back."""

from tests.mutants.mutant import Mutant

CONTRACT = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (grant or mark or terminat or receipt or revoked)")

PLANS = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (plan or limit)")

MUTANTS = [
    Mutant(
        "what a failover forgot is not told again",
        "streamlimit/cache/watch.py",
        "elif self._outage.counts.outages != self._outages:",
        "elif False:",
        ("tests/cache/test_forgotten.py",),
    ),
    Mutant(
        "who sits in a forgotten seat is taken to be back",
        "streamlimit/cache/tombstones.py",
        "if gone.since > asked_at or is_forgotten:",
        "if gone.since > asked_at:",
        ("tests/cache/test_forgotten.py",),
    ),
    Mutant(
        "a loss told again hits a later seat",
        "streamlimit/rules/leave.py",
        "    if seat is None or seat.generation != lost.generation:",
        "    if seat is None:",
        ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and not_forgotten"),
    ),
    Mutant(
        "a seat of before the clock went back is immortal",
        "streamlimit/rules/ledger.py",
        "            if seat.expires_at_ms > far_ms:",
        "            if False:",
        ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (way or anew or passed)"),
    ),
    Mutant(
        "the sweep does not look far",
        "streamlimit/store/valkey/walks.py",
        "        if self._looks_far:",
        "        if False:",
        ("tests/store/test_valkey.py", "-k", "TestOnValkey and not Cluster and nobody_is_forgotten_where"),
    ),
    Mutant(
        "a list shows the default limit",
        "streamlimit/rules/ledger.py",
        "return self.limit(None if latest is None or latest.is_own else latest.limit, policy)",
        "return self.limit(None, policy)",
        PLANS,
    ),
    Mutant(
        "a heartbeat without a plan takes the plan away",
        "streamlimit/rules/ledger.py",
        "    if plan is None and ask.limit is None:",
        "    if False:",
        PLANS,
    ),
    Mutant(
        "an expired or forgotten end cuts no download",
        "streamlimit/web/delivery.py",
        "    return lease.generation > 0 or gone.mark is not None",
        "    return gone.state in ('ended', 'terminated') and gone.mark is not None and gone.mark.session_id != ''",
        ("tests/e2e/test_cut.py",),
    ),
    Mutant(
        "a viewer's replacements push an operator's termination out",
        "streamlimit/rules/departure.py",
        'out = next((each for each in same if each.by == "viewer"), same[0])',
        "out = same[0]",
        CONTRACT,
    ),
    Mutant(
        "a mark that found no room lets late receipts in",
        "streamlimit/rules/departure.py",
        "        nobodys = [_joined([*nobodys, out])]",
        "        nobodys = []",
        CONTRACT,
    ),
    Mutant(
        "a dead grant is forgotten after n·X",
        "streamlimit/rules/grants.py",
        "now_ms + policy.grant_ms, given)",
        "now_ms + policy.expiry_ms, given)",
        CONTRACT,
    ),
    Mutant(
        "what overflows is revoked no more",
        "streamlimit/rules/grants.py",
        "    if oldest.given:",
        "    if not oldest.given:",
        CONTRACT,
    ),
    Mutant(
        "a session is let out ahead of the store without end",
        "streamlimit/cache/session_cache.py",
        "len(entry.ahead) >= AHEAD",
        "len(entry.ahead) >= 99",
        ("tests/cache/test_ahead.py",),
    ),
]
