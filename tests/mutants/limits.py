"""Users' own limits that end, what is forgotten of users, and heartbeats that say more."""

from tests.mutants.mutant import Mutant

CONTRACT = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (limit or way or cursor)")
ON_REDIS = ("tests/store/test_valkey.py", "-k", "TestOnValkey and not Cluster and (limit or way)")

UNDO = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (forgi or forgot or receipt)")
HEARTBEAT, BEATS = "streamlimit/web/heartbeat.py", ("tests/web/test_heartbeat.py",)

MUTANTS = [
    Mutant(
        "a heartbeat without a play is another player",
        HEARTBEAT,
        "        if not ask.play and session.play:",
        "        if False:",
        BEATS,
    ),
    Mutant(
        "a place that a heartbeat names counts as older than any other",
        HEARTBEAT,
        "session.move, session.last_activity_ms or 0)",
        "session.move, 0)",
        BEATS,
    ),
    Mutant(
        "a grant ends another session by a heartbeat",
        HEARTBEAT,
        "form.stream_id, form.replace)",
        "form.stream_id, None)",
        BEATS,
    ),
    Mutant(
        "a limit that ended goes on to count",
        "streamlimit/rules/ledger.py",
        "        if self.limit_until_ms and self.limit_until_ms <= now_ms:",
        "        if False:",
        CONTRACT,
    ),
    Mutant(
        "a limit far ahead is filed where the sweep takes it for an old clock's",
        "streamlimit/rules/ledger.py",
        "return min(self.limit_until_ms, now_ms + LOOK_AGAIN_MS)",
        "return self.limit_until_ms",
        CONTRACT,
    ),
    Mutant(
        "a heartbeat's quick way does not know that a limit ended",
        "streamlimit/store/valkey/beat.lua",
        "if limit_till > 0 and limit_till <= now then own_limit = NONE end",
        "",
        ON_REDIS,
    ),
    Mutant(
        "a receipt's quick way does not know that a limit ended",
        "streamlimit/store/valkey/confirm.lua",
        "if marks % 128 >= 64 and",
        "if false and",
        ON_REDIS,
    ),
    Mutant(
        "the list goes on to show a limit that ended",
        "streamlimit/store/valkey/ledger.lua",
        "  if ledger.limit_ended then",
        "  if false then",
        ON_REDIS,
    ),
    Mutant(
        "a limit may end in the past",
        "streamlimit/terms.py",
        "    if until_ms <= wall_ms:",
        "    if False:",
        ("tests/web/test_limits.py", "-k", "bad_end"),
    ),
    Mutant(
        "a forgiven session's late receipt seats it",
        "streamlimit/rules/leave.py",
        "    for mark in forgiven:",
        "    for mark in ():",
        UNDO,
    ),
    Mutant(
        "a refused user is counted as often as their players retry",
        "streamlimit/tally.py",
        '        if now - self._counted.get(ask.user_id, float("-inf")) < self._quiet:',
        "        if False:",
        ("tests/webhooks/test_refusals.py",),
    ),
    Mutant(
        "a plan that somebody made up is a label of its own",
        "streamlimit/tally.py",
        "plan if self._knows(plan) else OTHER_PLAN",
        "plan",
        ("tests/webhooks/test_refusals.py",),
    ),
    Mutant(
        "one is forgiven, and all are",
        "streamlimit/rules/leave.py",
        " and session_id in (None, mark.session_id)",
        "",
        UNDO,
    ),
    Mutant(
        "a forgotten user's grants seat them again",
        "streamlimit/rules/leave.py",
        "    revoke(grants, max(now_ms, newest), policy, now_ms)",
        "",
        UNDO,
    ),
    Mutant(
        "a forgotten user's late receipt seats them again",
        "streamlimit/rules/leave.py",
        "    ledger.marks = [Mark(NOBODYS, newest, State.ENDED, now_ms, now_ms + policy.expiry_ms)] if newest else []",
        "    ledger.marks = []",
        UNDO,
    ),
    Mutant(
        "a termination that was forgiven is told again after an outage",
        "streamlimit/cache/caching_store.py",
        "        self._tombstones.forgive(user_id, session_id)\n",
        "",
        ("tests/cache/test_forgotten.py",),
    ),
    Mutant(
        "who hammered after a termination is held though it was forgiven",
        "streamlimit/limiter.py",
        "        return _then(self.store.forgive(user_id, session_id), lambda _: self._freed(user_id))",
        "        return self.store.forgive(user_id, session_id)",
        ("tests/web/test_limits.py", "-k", "hammered"),
    ),
]
