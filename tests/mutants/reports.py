"""Breakages of reports: what is counted twice, not at all, or kept of whom."""

from tests.mutants.mutant import Mutant

COUNTS, SPAN = "streamlimit/reporting/counts.py", "streamlimit/reporting/span.py"
QUERIES = "streamlimit/store/sqlite/queries.sql"
ON_SQLITE, ON_VALKEY = ("tests/store/test_sqlite_reports.py",), ("tests/store/test_valkey_reports.py", "-k", "OnRedis")
COUNTED, REPORTED = ("tests/reporting/test_counts.py",), ("tests/reporting/test_reporter.py",)
WRITTEN, TOLD = ("tests/reporting/test_span.py",), ("tests/reporting/test_command.py",)
ALERTS = ("tests/monitoring/test_monitoring.py", "-k", "alerts")

MUTANTS = [
    Mutant(
        "each segment of a session that sits is an admission",
        "streamlimit/limiter.py",
        "if not decision.existing and decision.lease is not None:",
        "if decision.lease is not None:",
        REPORTED,
    ),
    Mutant(
        "a batch that is sent again counts again on SQLite",
        QUERIES,
        " WHERE number < excluded.number;",
        ";",
        ON_SQLITE,
    ),
    Mutant(
        "a batch that is sent again counts again on Valkey",
        "streamlimit/store/valkey/report.lua",
        "if number <= tonumber(call('HGET', bucket, last) or 0) then return 0 end",
        "",
        ON_VALKEY,
    ),
    Mutant("a peak is the last one", QUERIES, "peak = max(peak, excluded.peak)", "peak = excluded.peak", ON_SQLITE),
    Mutant(
        "any number of types of devices is kept",
        QUERIES,
        "grouping = ?3) < ?11",
        "grouping = ?3) < ?11 + 1000",
        ON_SQLITE,
    ),
    Mutant(
        "who was counted is never forgotten",
        "streamlimit/store/valkey/close_report.lua",
        "  call('DEL', KEYS[2 * at], KEYS[2 * at + 1])\n",
        "",
        ON_VALKEY,
    ),
    Mutant(
        "what comes after a bucket was closed replaces what was in it",
        "streamlimit/store/valkey/close_report.lua",
        "tonumber(number)",
        "0",
        ON_VALKEY,
    ),
    Mutant(
        "a closed bucket takes the same users again",
        "streamlimit/store/sqlite/reporting.py",
        "    if is_open and (",
        "    if (",
        ON_SQLITE,
    ),
    Mutant("anybody can tell whose digest that is", COUNTS, ", key=key)", ")", COUNTED),
    Mutant("viewers fill the memory", COUNTS, "elif self._users < USERS_KEPT:", "elif True:", COUNTED),
    Mutant(
        "who watches on from the hour before is no user of this one",
        "streamlimit/reporting/sample.py",
        "        if self._is_first:",
        "        if False:",
        COUNTED,
    ),
    Mutant(
        "a user is at the limit since the last look",
        "streamlimit/reporting/sample.py",
        "max(self._since_ms, newest.started_at_ms)",
        "self._since_ms",
        COUNTED,
    ),
    Mutant(
        "what an outage held back is lost",
        "streamlimit/reporting/reporter.py",
        "            await resolved(self._reports.add(self._waiting[0]))\n            self._waiting.popleft()",
        "            await resolved(self._reports.add(self._waiting.popleft()))",
        REPORTED,
    ),
    Mutant(
        "a dead worker sees the store away for ever",
        "streamlimit/server.py",
        "            mark_process_dead(process.pid)",
        "            str(process.pid)",
        ("tests/test_workers.py",),
    ),
    Mutant("a title is a formula", "streamlimit/reporting/document.py", "value.startswith(FORMULAS)", "False", WRITTEN),
    Mutant("a report ends when its last day begins", SPAN, "names[1], whole_day=True)", "names[1])", WRITTEN),
    Mutant(
        "a month by hour is seven hundred rows",
        "streamlimit/cli/report.py",
        "        period = Period.CLOCK\n",
        "        pass\n",
        TOLD,
    ),
]
