"""Users' own limits that end, what is forgotten of users, and heartbeats that say more."""

from tests.mutants.mutant import Mutant

CONTRACT = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (limit or way or cursor)")
ON_REDIS = ("tests/store/test_valkey.py", "-k", "TestOnRedis and not Cluster and (limit or way)")

HEARTBEAT, BEATS = "streamlimit/web/heartbeat.py", ("tests/web/test_heartbeat.py",)

MUTANTS = [
    Mutant(
        "a heartbeat that names a segment is remembered as one that names none",
        "streamlimit/web/quick.py",
        "if form.grant is not None or form.segment is not None:",
        "if form.grant is not None:",
        BEATS,
    ),
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
        "        caller.require_replacement(form.replace)\n",
        "",
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
]
