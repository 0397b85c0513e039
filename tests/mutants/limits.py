"""Users' own limits that end, what is forgotten of users, and heartbeats that say more."""

from tests.mutants.mutant import Mutant

CONTRACT = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (limit or way or cursor)")
ON_REDIS = ("tests/store/test_valkey.py", "-k", "TestOnRedis and not Cluster and (limit or way)")

MUTANTS = [
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
