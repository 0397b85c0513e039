"""Breakages of the store on SQLite: transactions, its clock, the sweep, the outbox, backups."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "a broken copy takes the place of a good one",
        "streamlimit/store/sqlite/backup.py",
        'if problem != "ok":',
        "if False:",
        ("tests/store/test_backup.py",),
    ),
    Mutant(
        "two of one user in one turn do not see each other",
        "streamlimit/store/sqlite/changes.py",
        "                outcome = rule(ledgers[user_id], now_ms)\n",
        "                ledgers[user_id] = kept.get(user_id) or Ledger()\n"
        "                outcome = rule(ledgers[user_id], now_ms)\n",
        ("tests/store/test_sqlite_group_commit.py", "-k", "OneTurn or TestAlone or Trouble"),
    ),
    Mutant(
        "an event is written after the step",
        "streamlimit/store/sqlite/changes.py",
        "            self.put_events(events)\n",
        '            self._db.execute("COMMIT")\n            self._db.execute("BEGIN IMMEDIATE")\n'
        "            self.put_events(events)\n",
        ("tests/store/test_sqlite.py", "-k", "TestClock or TestFile"),
    ),
    Mutant(
        "the wall clock decides",
        "streamlimit/store/sqlite/clock.py",
        "return time.clock_gettime_ns(_BOOTTIME) // 1_000_000",
        "return time.time_ns() // 1_000_000",
        ("tests/store/test_sqlite.py", "-k", "TestClock or TestFile"),
    ),
    Mutant(
        "no transaction",
        "streamlimit/store/sqlite/connection.py",
        'db.execute("BEGIN IMMEDIATE")',
        'db.execute("SELECT 1")',
        ("tests/store/test_sqlite.py", "-k", "100_users or test_of_eight"),
    ),
    Mutant(
        "the lock comes late",
        "streamlimit/store/sqlite/connection.py",
        "BEGIN IMMEDIATE",
        "BEGIN",
        ("tests/store/test_sqlite.py", "-k", "100_users or test_of_eight"),
    ),
    Mutant(
        "a failed step is not rolled back",
        "streamlimit/store/sqlite/connection.py",
        'db.execute("ROLLBACK")\n',
        'db.execute("COMMIT")\n',
        ("tests/store/test_sqlite.py", "-k", "TestClock or TestFile"),
    ),
    Mutant(
        "answers go out before the commit",
        "streamlimit/store/sqlite/connection.py",
        'when_unlocked(db, lambda: db.execute("COMMIT"))',
        '__import__("asyncio").get_running_loop().call_soon(db.execute, "COMMIT")',
        ("tests/store/test_sqlite_group_commit.py", "-k", "OneTurn or TestAlone or Trouble"),
    ),
    Mutant(
        "every process dates the clock anew",
        "streamlimit/store/sqlite/connection.py",
        " and row[0] == boot and not is_empty:",
        " and False:",
        ("tests/store/test_sqlite.py", "-k", "TestClock or TestFile"),
    ),
    Mutant(
        "who waits for the file is overtaken",
        "streamlimit/store/sqlite/group_commit.py",
        "self._changes[:0], self._answers[:0] = changes[first:], answers[first:]",
        "self._changes += changes[first:][::-1]; self._answers += answers[first:][::-1]",
        ("tests/store/test_sqlite_waiting.py",),
    ),
    Mutant(
        "one who fails spoils it for all of the turn",
        "streamlimit/store/sqlite/group_commit.py",
        "            return self._one_by_one(changes)\n\n    def",
        "            return [RuntimeError()] * len(changes)\n\n    def",
        ("tests/store/test_sqlite_group_commit.py", "-k", "OneTurn or TestAlone or Trouble"),
    ),
    Mutant(
        "a late holder is believed",
        "streamlimit/store/sqlite/outbox.py",
        'held = db.execute(QUERIES["holds"], key).fetchone() is not None',
        "held = True",
        ("tests/store/test_sqlite_outbox.py",),
    ),
    Mutant(
        "claims have no lock",
        "streamlimit/store/sqlite/outbox.py",
        "        with self._step() as db:\n            now_ms = self._now_ms(db)\n            self._sort(db, now_ms)",
        "        with self._opened() as db:\n            now_ms = self._now_ms(db)\n            self._sort(db, now_ms)",
        ("tests/store/test_sqlite_outbox.py",),
    ),
    Mutant(
        "a reboot forgets the time",
        "streamlimit/store/sqlite/queries.sql",
        "max(seen_ms, ?)",
        "seen_ms + 0 * ?",
        ("tests/store/test_sqlite.py", "-k", "TestClock or TestFile"),
    ),
    Mutant(
        "deliveries out of order",
        "streamlimit/store/sqlite/queries.sql",
        "WHERE endpoint = ? AND user_id = ? ORDER BY letters.number LIMIT 1",
        "WHERE endpoint = ? AND user_id = ? ORDER BY letters.number DESC LIMIT 1",
        ("tests/store/test_sqlite_outbox.py",),
    ),
    Mutant(
        "a batch that is sent again counts again on SQLite",
        "streamlimit/store/sqlite/queries.sql",
        " WHERE number < excluded.number;",
        ";",
        ("tests/store/test_sqlite_reports.py",),
    ),
    Mutant(
        "a rule's error is lost in the middle of a statement",
        "streamlimit/store/sqlite/rows.py",
        "if middle.error is not None:",
        "if False:",
        ("tests/store/test_sqlite_waiting.py",),
    ),
    Mutant(
        "decided before the transaction",
        "streamlimit/store/sqlite/store.py",
        "self._now(ask.user_id, self._by(rules.admit, ask), self._changes.one)",
        "self._now(ask.user_id, (lambda read: lambda ledger, now_ms, *_: (rules.admit(read, ask, "
        "self._policy, now_ms), setattr(ledger, 'seats', read.seats))[0])(self._rows.load(ask.user_id)[0]), "
        "self._changes.one)",
        ("tests/store/test_sqlite.py", "-k", "100_users or test_of_eight"),
    ),
    Mutant(
        "a beat seats again who left after it",
        "streamlimit/store/sqlite/store.py",
        "        self._group.make_all()\n",
        "        pass\n",
        ("tests/store/test_sqlite_group_commit.py", "-k", "OneTurn or TestAlone or Trouble"),
    ),
    Mutant(
        "a sweep acts on old news",
        "streamlimit/store/sqlite/sweep.py",
        "if seen != self._version():",
        "if False:",
        ("tests/store/test_sqlite.py", "-k", "TestClock or TestFile"),
    ),
    Mutant(
        "a due time is never corrected",
        "streamlimit/store/sqlite/sweep.py",
        "self._db.executemany(SAVE, takings.kept)",
        "self._db.executemany(SAVE, [(user_id, 10**15, body) for user_id, _, body in takings.kept])",
        ("tests/store/test_sqlite.py", "-k", "TestSqliteStore"),
    ),
    Mutant(
        "machine: a sweep forgets an event",
        "streamlimit/store/sqlite/sweep.py",
        "takings.events += rules.expire(ledger, user_id, self._policy, now_ms).events\n",
        "takings.events += rules.expire(ledger, user_id, self._policy, now_ms).events[1:]\n",
        ("tests/store/test_machine.py",),
    ),
]
