"""Breakages of rules, stores, web and commands."""

from tests.mutants.mutant import Mutant

CONTRACT = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore")
BESIDE = ("tests/store/test_sqlite.py", "-k", "TestBeside")
MACHINE = ("tests/store/test_machine.py",)
SQLITE = ("tests/store/test_sqlite.py", "-k", "TestClock or TestFile")
PROCESSES = ("tests/store/test_sqlite.py", "-k", "100_users or test_of_eight")
TURN_ON_THE_WEB = ("tests/web/test_together.py",)
TURN = ("tests/store/test_sqlite_group_commit.py", "-k", "OneTurn or TestAlone or Trouble")
RACE_ON_REDIS = ("tests/store/test_policies.py", "-k", "redis")

ADMIT, CONFIRM = "streamlimit/rules/admit.py", "streamlimit/rules/confirm.py"
LEAVE, LEDGER = "streamlimit/rules/leave.py", "streamlimit/rules/ledger.py"
DEPARTURE, SHARING = "streamlimit/rules/departure.py", "streamlimit/rules/sharing.py"
SCOPES, BEAT = "streamlimit/rules/scopes.py", "streamlimit/rules/beat.py"
POLICY = "streamlimit/policy.py"
STORE, CLOCK = "streamlimit/store/sqlite/store.py", "streamlimit/store/sqlite/clock.py"
CONNECTION, QUERIES = "streamlimit/store/sqlite/connection.py", "streamlimit/store/sqlite/queries.sql"
INTAKE, LATE = "streamlimit/store/sqlite/intake.py", "streamlimit/store/sqlite/lazy_store.py"
ROWS, ROUND = "streamlimit/store/sqlite/rows.py", "streamlimit/store/sqlite/round.py"
CHANGES, SWEEP = "streamlimit/store/sqlite/changes.py", "streamlimit/store/sqlite/sweep.py"
TOGETHER, COMING = "streamlimit/store/sqlite/group_commit.py", "streamlimit/store/deferred.py"
OUTBOX, WORKER = "streamlimit/store/sqlite/outbox.py", "streamlimit/webhooks/worker.py"
SENDER, ADDRESSES = "streamlimit/webhooks/sender.py", "streamlimit/webhooks/addresses.py"
ADMIT_IN_LUA = "streamlimit/store/valkey/admit.lua"
WEBHOOK, REFUSALS = "streamlimit/webhooks/endpoint.py", "streamlimit/webhooks/refusals.py"

KNOWLEDGE, DRAWERS = "streamlimit/cache/session_cache.py", "streamlimit/cache/sharded_dict.py"
DATING, ENTRY = "streamlimit/cache/clock_offset.py", "streamlimit/cache/entry.py"
STEADY, ADMISSIONS = "streamlimit/cache/caching_store.py", "streamlimit/cache/admissions.py"
RECEIPTS, GUESTS, KEPT = (
    "streamlimit/cache/receipts.py",
    "streamlimit/cache/offline_admission.py",
    "streamlimit/cache/write_behind.py",
)
OUTAGE = "streamlimit/cache/outage.py"

ORDER_TESTS, GONE_TESTS = ("tests/cache/test_order.py",), ("tests/cache/test_gone.py",)
MARKED_TESTS = ("tests/cache/test_marked.py",)
STEADY_TESTS = ("tests/cache/test_caching_store.py", "tests/cache/test_session_cache.py")
OUTBOX_CONTRACT = ("tests/store/test_sqlite_outbox.py",)
WORKER_TESTS, SENDER_TESTS = ("tests/webhooks/test_worker.py",), ("tests/webhooks/test_sender.py",)
ADDRESS_TESTS, WEBHOOK_TESTS = ("tests/webhooks/test_addresses.py",), ("tests/webhooks/test_endpoint.py",)
REFUSAL_TESTS = ("tests/webhooks/test_refusals.py",)

COLLECTOR, CALM = "streamlimit/bootstrap/collector.py", ("tests/test_collector.py",)
LOG_LINES, LOGGED = "streamlimit/log_lines.py", ("tests/test_log_lines.py",)
SAID_AT_ONCE = '        self._write_lines()\n        begun, self._begun = self._begun, ""'
PIPE = ("tests/store/test_valkey_pipe.py",)
ALIKE, VALKEY_MESSAGES = "streamlimit/store/valkey/alike.py", ("tests/store/test_valkey_messages.py",)
HEARTBEAT_ANSWERS = ("tests/store/test_valkey.py", "-k", "TestOnValkey and without_a_segment")
VALKEY_STORE, VALKEY_CONNECTION = "streamlimit/store/valkey/store.py", "streamlimit/store/valkey/connection.py"


def quickly(which: str, file: str = "tests/web/test_repeated_beats.py") -> tuple[str, ...]:
    return file, "-k", which


def by_head(which: str) -> tuple[str, ...]:
    return quickly(which, "tests/web/test_repeated_segments.py")


ACCESS, BACKGROUND = "streamlimit/bootstrap/access.py", "streamlimit/bootstrap/background.py"
GRANTS, LIMITER = "streamlimit/web/grants.py", "streamlimit/limiter.py"
EXPIRING, SHOWING = "streamlimit/cli/expiring.py", "streamlimit/cli/sessions.py"
LATE_STORE = ("tests/test_lazy_store.py",)
AGAIN = "    except StoreUnavailable:\n        await asyncio.sleep(0.5)\n        return await _learn_key(grants, store)"
SECRET_FAILED = "self._outage.failed(error)\n            raise\n\n    async def tell_all"
READ_NEEDS_KEYS = 'remember what they read."""\n        self.require_keys()\n'
MARK_AND_A_QUARTER = "until_ms=now_ms + policy.expiry_ms + policy.segment_ms // 4,"
WRITES = ("tests/store/test_sqlite.py", "-k", "fifty_times")
MARKS_ON_REDIS = (
    "tests/store/test_valkey.py",
    "-k",
    "TestOnValkey and not Cluster and (never_asked or the_silence_counts)",
)
OUTBOX_ON_VALKEY = ("tests/store/test_valkey_outbox.py", "-k", "OnValkey or Room")
UNASKED = "for count in unkept.values()"
DROPS = ("tests/webhooks/test_service.py", "-k", "every_drop")
RAISED = ("tests/web/test_hammering.py", "-k", "limit_that_is_raised")
USAGE, PORTS = ("tests/test_cli.py", "-k", "cannot_be_meant"), ("tests/test_settings.py", "-k", "port_that_there")

PROOF, PROOF_TESTS = "streamlimit/bench/proof.py", ("tests/bench/test_proof.py",)

MUTANTS = [
    # the atomic step
    Mutant("no transaction", CONNECTION, 'db.execute("BEGIN IMMEDIATE")', 'db.execute("SELECT 1")', PROCESSES),
    Mutant("the lock comes late", CONNECTION, "BEGIN IMMEDIATE", "BEGIN", PROCESSES),
    Mutant(
        "decided before the transaction",
        STORE,
        "self._now(ask.user_id, self._by(rules.admit, ask), self._changes.one)",
        "self._now(ask.user_id, (lambda read: lambda ledger, now_ms, *_: (rules.admit(read, ask, self._policy, now_ms),"
        " setattr(ledger, 'seats', read.seats))[0])(self._rows.load(ask.user_id)[0]), self._changes.one)",
        PROCESSES,
    ),
    Mutant(
        "a failed step is not rolled back", CONNECTION, 'db.execute("ROLLBACK")\n', 'db.execute("COMMIT")\n', SQLITE
    ),
    Mutant("errors of the driver leak", CONNECTION, "isinstance(error, sqlite3.Error)", "False", SQLITE),
    Mutant(
        "a rule's error becomes the driver's", ROWS, "except Exception as error:", "except KeyError as error:", SQLITE
    ),
    Mutant("readers do not wait", ROWS, "if not is_others_turn(error):", "if True:", SQLITE),
    Mutant("a sweep acts on old news", SWEEP, "if seen != self._version():", "if False:", SQLITE),
    Mutant("a sweep ends with its first stretch", ROUND, "is None and self.ends_here", "is None", SQLITE),
    Mutant("a sweep goes on behind the stretch", ROUND, "self._after = last_user", "self._after = self._until", SQLITE),
    # those of one turn
    Mutant(
        "answers go out before the commit",
        CONNECTION,
        'in_turn(db, lambda: db.execute("COMMIT"))',
        '__import__("asyncio").get_running_loop().call_soon(db.execute, "COMMIT")',
        TURN,
    ),
    Mutant(
        "beats of one turn are not written",
        CHANGES,
        "            self._rows.save_all(changed, kept, now_ms)\n",
        "",
        TURN,
    ),
    Mutant(
        "two of one user in one turn do not see each other",
        CHANGES,
        "                outcome = rule(ledgers[user_id], now_ms)\n",
        "                ledgers[user_id] = kept.get(user_id) or Ledger()\n"
        "                outcome = rule(ledgers[user_id], now_ms)\n",
        TURN,
    ),
    Mutant("who is refused is written", CHANGES, "if outcome.changed:", "if True:", TURN),
    Mutant("who is new in a turn is not written", ROWS, "((ADD, added), ", "(", TURN),
    Mutant("who sits is not written by a turn", ROWS, "(REPLACE, replaced), ", "", TURN),
    Mutant(
        "a row outlasts all that was in it",
        ROWS,
        "(REPLACE, replaced), (REMOVE, gone))",
        "(REPLACE, replaced))",
        CONTRACT,
    ),
    Mutant(
        "one who fails spoils it for all of the turn",
        TOGETHER,
        "            return self._one_by_one(changes)\n\n    def",
        "            return [RuntimeError()] * len(changes)\n\n    def",
        TURN,
    ),
    Mutant(
        "a file that failed is tried again by each",
        TOGETHER,
        "            return self._all_of(changes)\n        except StoreUnavailable:\n            raise\n",
        "            return self._all_of(changes)\n",
        TURN,
    ),
    Mutant(
        "a beat seats again who left after it",
        STORE,
        "        self._together.make_all()\n",
        "        pass\n",
        TURN,
    ),
    Mutant(
        "the log names another request of the turn",
        COMING,
        "            self._context.run(call, *answer)",
        "            call(*answer)",
        TURN_ON_THE_WEB,
    ),
    Mutant(
        "what arrives meanwhile is logged as another request's",
        "streamlimit/web/delivery.py",
        "        asking.set(self._asked)",
        "        pass",
        quickly("bytes_move", "tests/web/test_logs.py"),
    ),
    Mutant("one alone waits for others", TOGETHER, "if self._count_before <= ALONE:", "if False:", TURN),
    Mutant(
        "what comes later forgets who asked",
        COMING,
        "            self._context.run(call, *answer)",
        "            call(*answer)",
        ("tests/store/test_deferred.py",),
    ),
    # the same step in Lua
    Mutant(
        "in Lua nobody gives way",
        ADMIT_IN_LUA,
        "for _, seat in ipairs(going) do replace_seat(seat) end",
        "",
        RACE_ON_REDIS,
    ),
    Mutant(
        "in Lua newcomers are idle",
        ADMIT_IN_LUA,
        "longest and now - silent_since(longest) >= idle_victim_ms and longest or nil",
        "longest",
        RACE_ON_REDIS,
    ),
    # rules 1, 2, 9
    Mutant(
        "new before existing",
        ADMIT,
        "if seat is None or seat.expires_at_ms <= now_ms:",
        "if seat is None or len(ledger.live(now_ms)) >= ledger.limit(ask.limit, policy):",
        CONTRACT,
    ),
    Mutant(
        "one too many", SCOPES, "if len(scope.seats) >= scope.limit]", "if len(scope.seats) > scope.limit]", CONTRACT
    ),
    Mutant(
        "one too few",
        SCOPES,
        "if len(scope.seats) >= scope.limit]",
        "if len(scope.seats) >= scope.limit - 1]",
        CONTRACT,
    ),
    Mutant(
        "reservations do not count",
        LEDGER,
        "if seat.expires_at_ms > now_ms]",
        "if seat.expires_at_ms > now_ms and seat.last_activity_ms]",
        CONTRACT,
    ),
    Mutant("a check takes a seat", ADMIT, "if ask.purpose is Purpose.CHECK:", "if False:", CONTRACT),
    Mutant("anybody may start", ADMIT, "if not ask.may_start:", "if False:", CONTRACT),
    Mutant("the user's own limit is forgotten", LEDGER, "if self.max_sessions is not None:", "if False:", CONTRACT),
    # rule 3
    Mutant("giving back ignores open leases", LEAVE, "    if seat.leases:\n", "    if False:\n", CONTRACT),
    Mutant("giving back ignores the generation", LEAVE, "or seat.generation != lease.generation ", "", CONTRACT),
    Mutant("giving back takes a session that received", CONFIRM, "    seat.leases = []\n", "", CONTRACT),
    Mutant("a retried lease counts twice", ADMIT, " and ask.lease_id not in seat.leases\n", "\n", CONTRACT),
    Mutant(
        "a receipt counts past its time",
        CONFIRM,
        "    if seat is not None and seat.expires_at_ms > now_ms:",
        "    if seat is not None:",
        CONTRACT,
    ),
    Mutant(
        "a late receipt ignores the limit", CONFIRM, " or not _has_room(ledger, ask, policy, now_ms):", ":", CONTRACT
    ),
    Mutant("a late receipt revives who was sent away", CONFIRM, "if gone.mark is not None or is", "if is", CONTRACT),
    Mutant(
        "a late receipt revives a later end",
        CONFIRM,
        "mark.generation >= lease.generation",
        "mark.generation == lease.generation",
        CONTRACT,
    ),
    Mutant("a late receipt twice is not once", CONFIRM, "        revives=lease.generation,\n", "", CONTRACT),
    Mutant(
        "generations are ignored",
        CONFIRM,
        "return lease.generation in (seat.generation, seat.revives)",
        "return True",
        CONTRACT,
    ),
    Mutant(
        "an ended session comes back as itself", ADMIT, "max([now_ms, *(old + 1 for old in ended)])", "now_ms", CONTRACT
    ),
    Mutant("move numbers are ignored", CONFIRM, " and lease.move == seat.move:", ":", CONTRACT),
    Mutant(
        "stale leases are no activity",
        CONFIRM,
        "    seat.last_activity_ms = max(seat.last_activity_ms or 0, received_ms)",
        "    if lease.move == seat.move:\n        seat.last_activity_ms = max(seat.last_activity_ms or 0, received_ms)",
        CONTRACT,
    ),
    # rules 5, 6, 7
    Mutant(
        "last activity moves back", CONFIRM, "max(seat.last_activity_ms or 0, received_ms)", "received_ms", CONTRACT
    ),
    Mutant(
        "expiry waits for a sweep",
        LEDGER,
        "[seat for seat in self.seats if seat.expires_at_ms > now_ms]",
        "list(self.seats)",
        CONTRACT,
    ),
    Mutant(
        "a millisecond too long",
        LEDGER,
        "if seat.expires_at_ms > now_ms]",
        "if seat.expires_at_ms >= now_ms]",
        CONTRACT,
    ),
    Mutant(
        "swept a millisecond late", DEPARTURE, "seat.expires_at_ms <= now_ms", "seat.expires_at_ms < now_ms", CONTRACT
    ),
    Mutant("idle a millisecond late", POLICY, "< self.segment_ms else", "<= self.segment_ms else", CONTRACT),
    Mutant(
        "expires a segment early", POLICY, "self.missed_segments * self", "(self.missed_segments - 1) * self", CONTRACT
    ),
    Mutant(
        "start time outlives the first receipt",
        CONFIRM,
        "        seat.expires_at_ms = received_ms  #",
        "        pass  #",
        CONTRACT,
    ),
    Mutant(
        "progress does not prolong",
        CONFIRM,
        "        seat.expires_at_ms = now_ms + life_ms\n",
        "        pass\n",
        CONTRACT,
    ),
    Mutant("progress brings the dead back", CONFIRM, " or seat.expires_at_ms <= now_ms:", ":", CONTRACT),
    Mutant("the buffer knows no bound", CONFIRM, "min(ahead_ms, now_ms + policy.buffer_ms)", "ahead_ms", CONTRACT),
    Mutant(
        "a due time is never corrected",
        SWEEP,
        "self._db.executemany(SAVE, takings.kept)",
        "self._db.executemany(SAVE, [(user_id, 10**15, body) for user_id, _, body in takings.kept])",
        CONTRACT,
    ),
    Mutant(
        "an earlier due time is not filed",
        QUERIES,
        ") ON CONFLICT (user_id) DO UPDATE SET due_at_ms = excluded.due_at_ms, body",
        ") ON CONFLICT (user_id) DO UPDATE SET body",
        CONTRACT,
    ),
    # the clock
    Mutant(
        "the wall clock decides",
        CLOCK,
        "return time.clock_gettime_ns(_BOOTTIME) // 1_000_000",
        "return time.time_ns() // 1_000_000",
        SQLITE,
    ),
    Mutant(
        "every process dates the clock anew", CONNECTION, " and row[0] == boot and not is_empty:", " and False:", SQLITE
    ),
    Mutant("a reboot forgets the time", QUERIES, "max(seen_ms, ?)", "seen_ms + 0 * ?", SQLITE),
    # events
    Mutant(
        "a sweep writes no event",
        SWEEP,
        "        self._changes.put_events(takings.events)\n",
        "",
        CONTRACT,
    ),
    Mutant(
        "a change writes no event",
        CHANGES,
        "            self.put_events(events)\n",
        "",
        CONTRACT,
    ),
    Mutant(
        "an event is written after the step",
        CHANGES,
        "            self.put_events(events)\n",
        '            self._db.execute("COMMIT")\n            self._db.execute("BEGIN IMMEDIATE")\n'
        "            self.put_events(events)\n",
        SQLITE,
    ),
    Mutant(
        "a change of one row forgets its events",
        ROWS,
        " or (self._subscribed and any(e.type in self._subscribed for e in outcome.events))",
        "",
        CONTRACT,
    ),
    Mutant(
        "everything is written, subscribed or not", CHANGES, "if event.type in self._subscribed)", "if True)", CONTRACT
    ),
    Mutant(
        "a lost seat makes no event",
        ADMIT,
        "    events = lapse_all(ask.user_id, ledger, now_ms)\n",
        "    events = lapse_all(ask.user_id, ledger, now_ms)[:0]\n",
        CONTRACT,
    ),
    Mutant(
        "two changes share an event id",
        "streamlimit/model.py",
        r"{self.type}\n{which}",
        r"{self.type}",
        CONTRACT,
    ),
    # rule 8
    Mutant("the sharing guard is off", SHARING, "if not policy.max_returns:", "if True:", CONTRACT),
    Mutant("one return too many", SHARING, ">= policy.max_returns\n", "> policy.max_returns\n", CONTRACT),
    Mutant("a return for ever", SHARING, "left.at_ms > since_ms for left", "True for left", CONTRACT),
    Mutant(
        "every repeat is sharing",
        SHARING,
        "or client == position.client",
        "",
        CONTRACT,
    ),
    Mutant(
        "returns are never forgiven",
        SHARING,
        "sum(at_ms > now_ms - policy.expiry_ms for at_ms in times)",
        "len(times)",
        CONTRACT,
    ),
    # rules 10 and 12
    Mutant(
        "a refusal names nobody",
        ADMIT,
        "return Refusal(code, limit, len(live), sessions,",
        "return Refusal(code, limit, len(live), (),",
        CONTRACT,
    ),
    Mutant("the next seat is the last one", ADMIT, "lapses[nth] - now_ms", "lapses[-1] - now_ms", CONTRACT),
    Mutant("a mark is dropped", DEPARTURE, "    remember(ledger, mark, now_ms)\n", "", CONTRACT),
    Mutant("the oldest marks are kept", DEPARTURE, '== "viewer"), same[0])', '== "viewer"), same[-1])', CONTRACT),
    Mutant(
        "hammering wears a mark out",
        ADMIT,
        "    if changed:\n        mark.until_ms",
        "    if False:\n        mark.until_ms",
        CONTRACT,
    ),
    Mutant(
        "a replaced victim is brought back",
        LEAVE,
        '    events = (give_back(lease.ask.user_id, ledger, seat, now_ms, "nothing was received"),)\n',
        '    events = (give_back(lease.ask.user_id, ledger, seat, now_ms, "nothing was received"),)\n'
        "    ledger.marks = [m for m in ledger.marks if m.by_session_id != seat.session_id]\n",
        CONTRACT,
    ),
    Mutant("the victim keeps its seat", ADMIT, "        going.append(victim)\n", "", CONTRACT),
    Mutant("anybody gives way", ADMIT, ">= policy.idle_victim_ms else None", ">= 0 else None", CONTRACT),
    Mutant(
        "the newest gives way",
        ADMIT,
        "return min(live, key=lambda seat: seat.started_at_ms)",
        "return max(live, key=lambda seat: seat.started_at_ms)",
        CONTRACT,
    ),
    Mutant(
        "one goes for nothing",
        ADMIT,
        "if victim is None or any(len(scope.seats) > scope.limit for scope in full):",
        "if victim is None:",
        CONTRACT,
    ),
    Mutant(
        "a playing device is stopped",
        ADMIT,
        "is_silent = now_ms - _silent_since_ms(seat) >= policy.segment_ms",
        "is_silent = True",
        CONTRACT,
    ),
    # heartbeats
    Mutant("a beat tells nobody of who left", BEAT, "first.events + second.events)", "second.events)", CONTRACT),
    Mutant(
        "a beat that moves has an old lease",
        BEAT,
        "session.generation, session.move,",
        "session.generation, 0,",
        CONTRACT,
    ),
    Mutant("a beat is never one repeat too many", BEAT, "ask.sequence is None or not seat.repeats", "True", CONTRACT),
    Mutant("a beat starts though a scope is full", BEAT, " and not policy.max_per_device_type", "", CONTRACT),
    Mutant("a beat leaves who ran out of time", BEAT, "live == len(ledger.seats) and _just", "_just", BESIDE),
    Mutant("a beat goes on past a mark", BEAT, "if ledger.marks or ask", "if ask", BESIDE),
    Mutant("machine: a beat is no receipt", BEAT, "first.changed or second.changed", "first.changed", MACHINE),
    # caps, dry run, old news
    Mutant("a full stream takes more", SCOPES, "if policy.max_per_stream is not None:", "if False:", CONTRACT),
    Mutant("a dry run forgets who hammers", ADMIT, "    anyway.changed |= outcome.changed", "    pass", CONTRACT),
    Mutant("a dry run refuses", ADMIT, "if policy.enforce or not", "if True or not", CONTRACT),
    Mutant("old news is new", CONFIRM, "received_ms = now_ms - receipt.age_ms", "received_ms = now_ms", CONTRACT),
    Mutant(
        "ancient news seats again",
        CONFIRM,
        "is_too_old = receipt.age_ms >= policy.expiry_ms",
        "is_too_old = False",
        CONTRACT,
    ),
    # the machine alone
    Mutant(
        "machine: one too many",
        SCOPES,
        "if len(scope.seats) >= scope.limit]",
        "if len(scope.seats) > scope.limit]",
        MACHINE,
    ),
    Mutant("machine: giving back ignores open leases", LEAVE, "    if seat.leases:\n", "    if False:\n", MACHINE),
    Mutant(
        "machine: a late receipt revives who was sent away", CONFIRM, "if gone.mark is not None or is", "if is", MACHINE
    ),
    Mutant(
        "machine: last activity moves on without a receipt",
        CONFIRM,
        "        seat.expires_at_ms = now_ms + life_ms\n",
        "        seat.expires_at_ms = now_ms + life_ms\n        seat.last_activity_ms = now_ms\n",
        MACHINE,
    ),
    Mutant(
        "machine: a sweep forgets an event",
        SWEEP,
        "takings.events += rules.expire(ledger, user_id, self._policy, now_ms).events\n",
        "takings.events += rules.expire(ledger, user_id, self._policy, now_ms).events[1:]\n",
        MACHINE,
    ),
    # call backs
    Mutant(
        "a late holder is believed",
        OUTBOX,
        'held = db.execute(QUERIES["holds"], key).fetchone() is not None',
        "held = True",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "a claim does not last",
        QUERIES,
        "-- name: take_queue\nUPDATE queues SET due_at_ms = ?",
        "-- name: take_queue\nUPDATE queues SET due_at_ms = 0 * ?",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "claims have no lock",
        OUTBOX,
        """        with self._step() as db:
            now_ms = self._now_ms(db)
            self._sort(db, now_ms)""",
        """        with self._opened() as db:
            now_ms = self._now_ms(db)
            self._sort(db, now_ms)""",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "the queue has no bound",
        QUERIES,
        "WHERE endpoint = ? AND pending < ? AND disabled IS NULL",
        "WHERE endpoint = ? AND pending < ? + 1000000 AND disabled IS NULL",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "a disabled endpoint collects",
        QUERIES,
        "AND pending < ? AND disabled IS NULL",
        "AND pending < ?",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "the outbox has no bound",
        INTAKE,
        "room = max(most, LEAST)",
        "room = 10**9",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "deliveries out of order",
        QUERIES,
        "WHERE endpoint = ? AND user_id = ? ORDER BY letters.number LIMIT 1",
        "WHERE endpoint = ? AND user_id = ? ORDER BY letters.number DESC LIMIT 1",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "attempts of the last delivery stay",
        QUERIES,
        "ticket = ?, attempts = 0, problem = NULL WHERE",
        "ticket = ? WHERE",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "a refusal is told again and again",
        QUERIES,
        "until_ms = excluded.until_ms WHERE until_ms <= ?4",
        "until_ms = excluded.until_ms WHERE ?4",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "every endpoint gets every type",
        OUTBOX,
        "                if kind not in types:\n                    continue\n",
        "",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "room is never given back", QUERIES, "SET pending = pending - 1", "SET pending = pending - 0", OUTBOX_CONTRACT
    ),
    Mutant(
        "the dead are not bounded",
        OUTBOX,
        "                self._bound_the_dead(db, delivery.endpoint)\n",
        "",
        OUTBOX_CONTRACT,
    ),
    Mutant(
        "a failing endpoint is hammered",
        WORKER,
        "return (1 if self.is_failing else self._places) - len(self._carrying)",
        "return self._places - len(self._carrying)",
        WORKER_TESTS,
    ),
    Mutant("no pause", WORKER, "            self._paused_until = now + self._pause\n", "", WORKER_TESTS),
    Mutant(
        "retry-after is not heard",
        WORKER,
        "            self._paused_until = max(self._paused_until, now + outcome.wait_seconds)\n",
        "            pass\n",
        WORKER_TESTS,
    ),
    Mutant(
        "never given up",
        WORKER,
        "if delivery.waited_ms >= self._give_up_ms:",
        "if delivery.waited_ms < 0:",
        WORKER_TESTS,
    ),
    Mutant(
        "410 is a failure like others", SENDER, "    if status == 410:\n        return Unwanted()\n", "", SENDER_TESTS
    ),
    Mutant("redirects are followed", SENDER, "follow_redirects=False", "follow_redirects=True", SENDER_TESTS),
    Mutant("proxies are used", SENDER, "trust_env=False", "trust_env=True", SENDER_TESTS),
    Mutant("the name is connected to", SENDER, "self._url.copy_with(host=address)", "self._url", SENDER_TESTS),
    Mutant(
        "no time-out",
        SENDER,
        "async with asyncio.timeout(self._timeout):",
        "async with asyncio.timeout(None):",
        SENDER_TESTS,
    ),
    Mutant(
        "v4 in v6 is overlooked",
        ADDRESSES,
        "if any(address in block for block in TRANSLATED):",
        "if False:",
        ADDRESS_TESTS,
    ),
    Mutant(
        "multicast is called",
        ADDRESSES,
        '"224.0.0.0/3"',
        '"240.0.0.0/4"',
        ADDRESS_TESTS,
    ),
    Mutant("names are not pinned", ADDRESSES, "if not found or self._clock() >= until:", "if True:", ADDRESS_TESTS),
    Mutant(
        "only the newest secret signs",
        WEBHOOK,
        "for signer in self._signers)",
        "for signer in self._signers[:1])",
        WEBHOOK_TESTS,
    ),
    Mutant("made-up ids flood", REFUSALS, "if len(sessions) >= SESSIONS_TOLD:", "if False:", REFUSAL_TESTS),
    # what a worker knows, and outages (rule 11)
    Mutant(
        "cache never lapses",
        KNOWLEDGE,
        "if now >= at + life / 1_000 + self._extra:",
        "if False:",
        STEADY_TESTS,
    ),
    Mutant("outage seconds do not count", KNOWLEDGE, "policy, extra_seconds,", "policy, 0.0,", STEADY_TESTS),
    Mutant(
        "an answer brings back who left",
        RECEIPTS,
        "elif not (self._tombstones.since and self._tombstones.has(lease.ask)):",
        "else:",
        STEADY_TESTS,
    ),
    Mutant("an older answer counts", KNOWLEDGE, "(its_at > at and last and its == generation)", "False", STEADY_TESTS),
    Mutant(
        "a no for an old seat is one for the new",
        KNOWLEDGE,
        "entry.generation <= generation",
        "True",
        STEADY_TESTS,
    ),
    Mutant("bytes that move teach nothing", STEADY, "self.cache.prolonged(lease, asked_at)", "pass", STEADY_TESTS),
    Mutant(
        "newcomers come before what was kept",
        ADMISSIONS,
        "if self._outage.is_away and self._receipts.kept.has_of(ask.user_id):\n",
        "if False:\n",
        STEADY_TESTS,
    ),
    Mutant("cache is fresh for ever", STEADY, "and now - known.at < self._fresh", "", STEADY_TESTS),
    Mutant("a second address is as good", STEADY, "and digest(ask.client) == known.client", "", STEADY_TESTS),
    Mutant("a receipt of who left is kept", RECEIPTS, "if self._tombstones.has(ask):", "if False:", STEADY_TESTS),
    Mutant("kept receipts are told without their age", RECEIPTS, "age_ms=age_ms", "age_ms=0", STEADY_TESTS),
    Mutant("events nobody waited for are lost", RECEIPTS, "self._announce(event)", "pass", STEADY_TESTS),
    Mutant("the dead shard is always tried first", RECEIPTS, "self.kept.tried(kept)", "pass", STEADY_TESTS),
    Mutant("an older receipt replaces a newer", KEPT, "before.at > at", "before.at < at", STEADY_TESTS),
    Mutant("kept without bound", KEPT, "if len(self._all) > self._at_most:", "if False:", STEADY_TESTS),
    Mutant("a worker that knows nobody admits any number", GUESTS, "and has_room and", "and", STEADY_TESTS),
    Mutant(
        "a playlist takes a seat in an outage", GUESTS, "if ask.purpose is not Purpose.CHECK:", "if True:", STEADY_TESTS
    ),
    Mutant("every failure is an outage of its own", OUTAGE, "if not self.is_away:", "if True:", STEADY_TESTS),
    Mutant(
        "the outage ends while receipts wait",
        OUTAGE,
        "if self.is_away and not is_anything_kept and",
        "if self.is_away and",
        STEADY_TESTS,
    ),
    # heartbeats that are known by their bytes
    Mutant(
        "keys that change clear nothing",
        "streamlimit/web/auth.py",
        "        self._to_forget.append(forget)\n",
        "        pass\n",
        quickly("taken_back"),
    ),
    Mutant(
        "a stream that is gone goes on",
        "streamlimit/web/heartbeat.py",
        "        self._require_stream(ask.stream_id)\n",
        "        pass\n",
        quickly("comes_back"),
    ),
    Mutant(
        "heartbeats are not counted as confirmations",
        "streamlimit/limiter.py",
        "        tally.confirmations += is_beat\n",
        "",
        quickly("counted"),
    ),
    Mutant(
        "a beat that failed is forgotten",
        ADMISSIONS,
        "return both(admitted, self._receipts.keep(Receipt(admitted.lease), self._clock()))",
        "return admitted",
        STEADY_TESTS,
    ),
    Mutant(
        "in an outage a beat comes before what was kept",
        STEADY,
        "        if self._outage.is_away:\n            return self._beat_in_two(ask)\n",
        "",
        STEADY_TESTS,
    ),
    Mutant(
        "a beat that fails half way is not marked",
        STEADY,
        "            self.counts.degraded += 1  # the store",
        "            pass  # the store",
        STEADY_TESTS,
    ),
    Mutant(
        "a beat without the store is not counted",
        RECEIPTS,
        "            counts.degraded += 1\n",
        "            pass\n",
        STEADY_TESTS,
    ),
    Mutant(
        "who beats from elsewhere is asked for each time",
        KNOWLEDGE,
        "        if beaten:\n            client = digest(ask.client)\n",
        "",
        STEADY_TESTS,
    ),
    # the position, however long the store's words take
    Mutant(
        "a lease is dated before an earlier one where the guess goes back",
        DATING,
        "        least_ms = max(least_ms, int(before + heard_ms))\n",
        "        pass\n",
        ORDER_TESTS,
    ),
    Mutant(
        "the store's own date may lie before an earlier guess",
        ADMISSIONS,
        "lease.admitted_ms >= at_least_ms:",
        "True:",
        ORDER_TESTS,
    ),
    Mutant(
        "the store's clock is taken for that of the sending",
        DATING,
        "+ low + span / 2)",
        "+ low + span)",
        ORDER_TESTS,
    ),
    Mutant(
        "two exchanges that exclude each other are both believed",
        DATING,
        "    if low > high:\n        low, high, _ = told\n",
        "",
        ORDER_TESTS,
    ),
    Mutant(
        "an exchange stands alone",
        DATING,
        "low, high = max(low, its_low), min(high, its_high)",
        "low, high = its_low, its_high",
        quickly("narrows", "tests/cache/test_session_cache.py"),
    ),
    Mutant(
        "an answer to a receipt told late tells of the clock",
        KNOWLEDGE,
        "        if heard_at is not None:\n",
        "        if heard_at := heard_at or at:\n",
        quickly("tells_nothing", "tests/cache/test_session_cache.py"),
    ),
    Mutant(
        "all that is known of a user is one session",
        DRAWERS,
        "        entry.other = drawer.get(user_id)\n",
        "",
        STEADY_TESTS,
    ),
    Mutant("a seat that was only supposed is a real one", ENTRY, "if generation else SUPPOSED", "", STEADY_TESTS),
    # who loses the seat to another
    Mutant(
        "who is replaced here plays on",
        ADMISSIONS,
        "                self._receipts.heed(decision.events)\n",
        "                pass\n",
        GONE_TESTS,
    ),
    Mutant(
        "what a receipt's answer says of others is not heard",
        RECEIPTS,
        "            self.heed(verdict.events)\n",
        "            pass\n",
        GONE_TESTS,
    ),
    Mutant(
        "who is replaced is kept in mind",
        RECEIPTS,
        "                self.forget(session.user_id, session.session_id)\n",
        "                self._cache.gone(session.user_id, session.session_id, session.generation)\n",
        GONE_TESTS,
    ),
    Mutant(
        "who is seen to expire sits on",
        RECEIPTS,
        "            elif event.type in LOST:",
        "            elif False:",
        GONE_TESTS,
    ),
    Mutant(
        "beats outrun a termination elsewhere",
        STEADY,
        "            and (ask.user_id, ask.session_id) not in self._unanswered\n",
        "",
        GONE_TESTS,
    ),
    Mutant(
        "a report is under way for ever",
        RECEIPTS,
        "            del self.unanswered[who]\n",
        "            pass\n",
        GONE_TESTS,
    ),
    # each answer without the store says so
    Mutant(
        "the first answer without the store does not say so",
        STEADY,
        "known.at <= self._outage.since or self.kept.has(ask)",
        "self.kept.has(ask)",
        MARKED_TESTS,
    ),
    Mutant(
        "a part that goes away later is not noticed",
        STEADY,
        "known.at <= self._outage.since or self.kept.has(ask)",
        "known.at <= self._outage.since",
        MARKED_TESTS,
    ),
    Mutant(
        "in an outage of a part all others wait for the store",
        STEADY,
        "and not (self._outage.is_away and (known.at <= self._outage.since or self.kept.has(ask)))",
        "and not self._outage.is_away",
        MARKED_TESTS,
    ),
    Mutant(
        "a server that cannot be reached is no outage until somebody asks",
        "streamlimit/store/valkey/router.py",
        "            self.on_failure()\n",
        "            pass\n",
        ("tests/store/test_valkey_trouble.py",),
    ),
    Mutant(
        "a connection that is closed is an outage",
        "streamlimit/store/valkey/router.py",
        "        if why:\n            self.failure = why\n",
        "        if True:\n            self.failure = why\n",
        ("tests/store/test_valkey_trouble.py",),
    ),
    Mutant(
        "nobody is told of a server that cannot be reached",
        "streamlimit/bootstrap/store.py",
        "store.when_it_fails(lambda: found.failed(StoreUnavailable(store.failure)))",
        "pass",
        quickly("killed_store_is_noticed", "tests/e2e/test_outage.py"),
    ),
    Mutant(
        "the log says of all settings what is true of one",
        "streamlimit/logs.py",
        "note = WHILE_AWAY[on_outage]",
        'note = WHILE_AWAY["keep-known"]',
        quickly("killed_store_is_noticed", "tests/e2e/test_outage.py"),
    ),
    Mutant(
        "all that is known is looked at at once",
        DRAWERS,
        "left = USERS_A_LOOK\n",
        "left = 99\n",
        STEADY_TESTS,
    ),
    Mutant(
        "what was seen of a drawer is looked at again",
        DRAWERS,
        "self._passed += len(some) - (before - len(drawer))",
        "self._passed = 0",
        STEADY_TESTS,
    ),
    Mutant(
        "who is long gone is never looked at",
        DRAWERS,
        "self._next, self._passed = (self._next + 1) % DRAWERS, 0",
        "self._passed = 0",
        STEADY_TESTS,
    ),
    Mutant(
        "all who left are forgotten at once",
        "streamlimit/cache/tombstones.py",
        "islice(self.since.items(), FORGOTTEN_AT_MOST)",
        "self._since.items()",
        STEADY_TESTS,
    ),
    Mutant(
        "what is forgotten of requests goes at once",
        "streamlimit/web/recent.py",
        "self._fading, self._old,",
        "_, self._old,",
        ("tests/web/test_recent.py",),
    ),
    # heartbeats on Valkey
    Mutant(
        "a heartbeat with a position is packed like one without",
        ALIKE,
        "place = 0 if sequence is None else sequence * PARTS + min(ask.part,",
        "place = 0 if sequence is None else min(ask.part,",
        VALKEY_MESSAGES,
    ),
    Mutant(
        "a heartbeat kept for later is packed like one of now",
        ALIKE,
        "if receipt.age_ms or (",
        "if (",
        VALKEY_MESSAGES,
    ),
    Mutant(
        "who starts has been there",
        "streamlimit/store/valkey/answers.py",
        "limit, live, False, (event,), spent_ms=spent_ms)",
        "limit, live, True, (event,))",
        quickly("TestOnValkey and beat", "tests/store/test_valkey.py"),
    ),
    Mutant(
        "a heartbeat takes its session off its segment",
        "streamlimit/store/valkey/answers.py",
        "segment = packed[at + AFTER_POSITION : device_at].decode() if size else None",
        "segment = None",
        HEARTBEAT_ANSWERS,
    ),
    Mutant(
        "a heartbeat takes its session off its device",
        "streamlimit/store/valkey/answers.py",
        "return segment, number, unpack_device(packed[device_at:])",
        "return segment, number, None",
        HEARTBEAT_ANSWERS,
    ),
    Mutant(
        "a heartbeat that is not simple is not answered",
        COMING,
        "            answer = error\n        self.come(answer)\n",
        "            answer = error\n",
        quickly("TestOnValkey and Beats", "tests/store/test_valkey.py"),
    ),
    Mutant(
        "a loop that has ended is taken for the one that runs",
        "streamlimit/store/valkey/router.py",
        "if loop is None or not loop.is_running():",
        "if loop is None:",
        quickly("one_loop_after_another", "tests/store/test_valkey_faults.py"),
    ),
    Mutant(
        "what is added after the answer is not done",
        COMING,
        "            self._inside(self._take, answer)\n        return self",
        "            self._answer = answer\n        return self",
        ("tests/store/test_deferred.py",),
    ),
    # requests for segments that are known by their head
    Mutant(
        "a refusal from memory is no refusal",
        "streamlimit/limiter.py",
        "            self.tally.refusals[held.code] += 1\n",
        "            pass\n",
        by_head("hammers"),
    ),
    Mutant(
        "a segment is given to a grant from anywhere",
        "streamlimit/web/viewer.py",
        "form.replace)\n            caller.require_place(place)\n",
        "form.replace)\n",
        by_head("bound_to_an_address"),
    ),
    Mutant(
        "a file is given to a grant from anywhere",
        "streamlimit/web/viewer.py",
        "        caller.require_place(place)\n        if not self._hands",
        "        if not self._hands",
        by_head("bound_to_an_address"),
    ),
    Mutant(
        "a range has the lines of another",
        "streamlimit/web/requested.py",
        "self._is_partial, part.first, part.last, *told)",
        "*told)",
        by_head("asks_for"),
    ),
    Mutant(
        "a file that is played keeps its number",
        "streamlimit/web/requested.py",
        ", part.last, *told)",
        ", part.last)",
        by_head("another_place"),
    ),
    Mutant(
        "a file that is issued keeps its number",
        "streamlimit/web/responder.py",
        "if part is None or part.segments[0] is not chosen:",
        "if part is None:",
        by_head("another_place"),
    ),
    Mutant(
        "notes pile up",
        "streamlimit/delivery/local.py",
        "len(self.notes) >= NOTES:",
        "False:",
        quickly("notes_of_a_file", "tests/delivery/test_local.py"),
    ),
    # where a quick heartbeat was not as good as a slow one
    Mutant(
        "who leaves while the store is asked is back",
        "streamlimit/cache/tombstones.py",
        "gone.since > asked_at or",
        "False or",
        quickly("who_leaves_while_the_store_is_asked", "tests/cache/test_caching_store.py"),
    ),
    Mutant(
        "who leaves while the store is asked is met",
        ADMISSIONS,
        "            if not self._tombstones.since or self._tombstones.is_back(ask, asked_at, generation):\n",
        "            if True:\n",
        quickly("who_leaves_while_the_store_is_asked", "tests/cache/test_caching_store.py"),
    ),
    Mutant(
        "what the store tells later has no id",
        VALKEY_CONNECTION,
        "self.context.run(self.callback, answer)",
        "self.callback(answer)",
        quickly("the_store_tells_later"),
    ),
    Mutant(
        "a hearer that breaks costs the others theirs",
        VALKEY_CONNECTION,
        "except Exception as error:  # as a future's",
        "except KeyError as error:  # as a future's",
        quickly("hearer_that_breaks", "tests/store/test_valkey_faults.py"),
    ),
    Mutant(
        "a report to a closed store breaks",
        VALKEY_STORE,
        "        except StoreUnavailable as error:\n            heard(error)\n",
        "        except KeyError as error:\n            heard(error)\n",
        quickly("TestOnValkey and store_that_is_closed", "tests/store/test_valkey.py"),
    ),
    # the limit as `streamlimit bench` sees it from outside
    Mutant("one too many delivered is overlooked", PROOF, "if len(delivered) > self.limit:", "if False:", PROOF_TESTS),
    Mutant(
        "who may have expired is counted", PROOF, "asked_at < stay.received_after + self.lifetime", "True", PROOF_TESTS
    ),
    # what runs beside the viewers
    Mutant(
        "a server's sweep goes on with what the others have taken",
        "streamlimit/store/valkey/walks.py",
        "if not self._left:  # looked",
        "if not self._left and calls % CALLS_IN_A_ROW:  # looked",
        ("tests/store/test_valkey.py", "-k", "TestSweep"),
    ),
    Mutant(
        "work that broke stays undone",
        "streamlimit/bootstrap/background.py",
        "        await asyncio.sleep(BROKEN_SECONDS)\n",
        "        return\n",
        ("tests/test_background.py",),
    ),
    Mutant(
        "a worker's work is on its own",
        "streamlimit/bootstrap/background.py",
        "create_task(go_on_forever(each))",
        "create_task(each())",
        ("tests/test_background.py",),
    ),
    Mutant(
        "a command waits for what serves",
        "streamlimit/cli/commands.py",
        "from streamlimit import __version__\n",
        "from streamlimit import __version__\nfrom streamlimit import server as server\n",
        ("tests/test_startup.py",),
    ),
    Mutant(
        "a function waits for the web",
        "streamlimit/bootstrap/webhooks.py",
        "from streamlimit.limiter import OnRefusal\n",
        "from streamlimit.limiter import OnRefusal\nfrom streamlimit.web import app as app\n",
        ("tests/test_startup.py",),
    ),
    # what is wrong with the settings
    Mutant(
        "only the first that is wrong is told",
        "streamlimit/cli/__init__.py",
        "in (error, *error.others):",
        "in (error,):",
        quickly("check_config_tells", "tests/test_settings.py"),
    ),
    Mutant(
        "what is tried ends with what is wrong",
        "streamlimit/cli/checking.py",
        "            wrong += (error, *error.others)\n",
        "            raise\n",
        quickly("check_config_tries", "tests/test_settings.py"),
    ),
    Mutant(
        "open access is judged by what is wrong",
        "streamlimit/settings/table.py",
        'others.data.get("allow_open", True)',
        'others.data.get("allow_open", False)',
        quickly("only_follows", "tests/test_settings.py"),
    ),
    # what load balancers and readers of logs see
    Mutant(
        "a head is another method",
        "streamlimit/web/control.py",
        'if scope["method"] == "HEAD" else',
        "if False else",
        ("tests/web/test_head_method.py",),
    ),
    Mutant(
        "a head is not told of",
        "streamlimit/web/plane.py",
        'if "GET" in methods else',
        "if False else",
        quickly("what_may_be_done", "tests/web/test_errors.py"),
    ),
    Mutant(
        "lines of the log have two forms",
        "streamlimit/logs.py",
        'json.dumps(line, separators=(",", ":"), default=repr)',
        "json.dumps(line, default=repr)",
        quickly("compact_form", "tests/web/test_logs.py"),
    ),
    Mutant(
        "a worker that died unheard is waited for",
        "streamlimit/server.py",
        "            process.child_conn.close()\n",
        "            pass\n",
        ("tests/e2e/test_kill.py", "-k", "asked_whether_it_lives"),
    ),
    Mutant(
        "a full cap is told as a full limit",
        "streamlimit/web/problems.py",
        'if refusal.scope == "stream":',
        "if False:",
        ("tests/web/test_plans.py", "-k", "caps"),
    ),
    # the store comes after the start
    Mutant(
        "the start waits for the key of grants",
        ACCESS,
        "    except StoreUnavailable:\n        return",
        AGAIN,
        LATE_STORE,
    ),
    Mutant(
        "the key of grants is asked for once", BACKGROUND, "if not service.grants.are_known:", "if False:", LATE_STORE
    ),
    Mutant(
        "a locked file stops the start", LATE, "except waits_for as error:", "except KeyError as error:", LATE_STORE
    ),
    Mutant(
        "a file that never opens is waited for",
        CONNECTION,
        "cannot_open(path, error, is_others_turn(error))",
        "cannot_open(path, error, True)",
        LATE_STORE,
    ),
    Mutant("a locked file is tried at every call", LATE, "< REST_SECONDS", "< 0", LATE_STORE),
    Mutant("a locked file breaks a report", LATE, "            heard(error)", "            raise", LATE_STORE),
    Mutant(
        "an outage at the start is not told",
        STEADY,
        SECRET_FAILED,
        SECRET_FAILED.replace("_outage.failed", "kept.__len__"),
        LATE_STORE,
    ),
    Mutant("without keys a grant is called bad", GRANTS, READ_NEEDS_KEYS, 'remember what they read."""\n', LATE_STORE),
    Mutant(
        "a viewer's token waits for the key of grants",
        "streamlimit/web/auth.py",
        "except StoreUnavailable as error:  # what",
        "except KeyError as error:  # what",
        LATE_STORE,
    ),
    Mutant("a secret is read in turn", STORE, "if not found:  # else nobody", "if True:  # else nobody", LATE_STORE),
    # a mark lasts as long as it should
    Mutant(
        "a mark outlasts its silence", DEPARTURE, "until_ms=now_ms + policy.expiry_ms,", MARK_AND_A_QUARTER, CONTRACT
    ),
    Mutant("refusals prolong a mark by too much", POLICY, "MARK_WRITES = 50", "MARK_WRITES = 40", CONTRACT),
    Mutant("each refusal of a terminated session is written", ADMIT, " + policy.segment_ms // MARK_WRITES", "", WRITES),
    Mutant(
        "in Lua a mark outlasts its silence",
        "streamlimit/store/valkey/rules.lua",
        "state, now, now + expiry_ms,",
        "state, now, now + expiry_ms + 20,",
        MARKS_ON_REDIS,
    ),
    Mutant(
        "in Lua refusals prolong a mark by too much",
        ADMIT_IN_LUA,
        "(segment_ms - segment_ms % 50) / 50",
        "(segment_ms - segment_ms % 40) / 40",
        MARKS_ON_REDIS,
    ),
    Mutant(
        "a hammering terminated player is held into silence",
        "streamlimit/refusal_limiter.py",
        "self._held if refusal.mark is None else self._marked",
        "self._held",
        ("tests/test_refusal_limiter.py",),
    ),
    # every dropped event is counted
    Mutant("a full outbox takes the rest of a step", INTAKE, "rows[:kept])", "rows if kept else [])", TURN),
    Mutant("what the outbox drops is counted for nobody", INTAKE, "if kept < len(rows):", "if False:", OUTBOX_CONTRACT),
    Mutant(
        "what the outbox drops is counted again and again", INTAKE, "    if found:", "    if False:", OUTBOX_CONTRACT
    ),
    Mutant(
        "drops are counted for who wanted none",
        OUTBOX,
        "for kind, count in unkept.items() if kind in types",
        UNASKED,
        OUTBOX_CONTRACT,
    ),
    Mutant("others' events fill a small outbox", INTAKE, "LEAST = 1_024", "LEAST = 1", OUTBOX_CONTRACT),
    Mutant(
        "in Lua what the outbox drops is counted for nobody",
        "streamlimit/store/valkey/claim.lua",
        "if wants(each) then",
        "if false then",
        OUTBOX_ON_VALKEY,
    ),
    Mutant(
        "in Lua one drop is all that is counted",
        "streamlimit/store/valkey/intake.lua",
        "is_counted and last or NONE_YET",
        "NONE_YET",
        OUTBOX_ON_VALKEY,
    ),
    Mutant(
        "a shard has no room for a household",
        "streamlimit/store/valkey/keys.py",
        "LEAST_ROOM = 16",
        "LEAST_ROOM = 1",
        OUTBOX_ON_VALKEY,
    ),
    Mutant(
        "drops are not scraped",
        "streamlimit/web/operator.py",
        "time.monotonic(), await _dropped(service)",
        "time.monotonic()",
        DROPS,
    ),
    # what an operator does and says
    Mutant(
        "a raised limit leaves players waiting",
        LIMITER,
        "terms), lambda _: self._freed(user_id))",
        "terms), lambda _: None)",
        RAISED,
    ),
    Mutant("no time at all is given to a sweep", EXPIRING, "not 0 < max_seconds < math.inf", "max_seconds < -1", USAGE),
    Mutant(
        "a user that cannot be is looked for", SHOWING, "None if given is None else wrong_with_id(given)", "None", USAGE
    ),
    Mutant("any port will do", "streamlimit/settings/callback.py", "        require_port(value)\n", "", PORTS),
    Mutant(
        "pouring ends at the first room",
        "streamlimit/delivery/wire.py",
        "        if self._rest is None:\n            self._stop_pouring()\n",
        "        self._stop_pouring()\n",
        ("tests/delivery/test_pour.py", "-k", "however_often"),
    ),
    Mutant(
        "who pours is woken when there is nothing more to pour",
        "streamlimit/delivery/wire.py",
        "            self.loop.remove_writer(self._fd)\n",
        "            pass\n",
        ("tests/delivery/test_pour.py", "-k", "however_often"),
    ),
    Mutant(
        "an outcome that is known is never heard",
        "streamlimit/delivery/receipt.py",
        "            callback(self.outcome)\n",
        "            pass\n",
        ("tests/delivery/test_receipt.py", "-k", "heard_at_once"),
    ),
    Mutant(
        "a delivery that fails keeps the seat",
        "streamlimit/web/responder.py",
        "            await holder.fail()\n            raise failure",
        "            raise failure",
        quickly("hangs_up_leaves_no_seat", "tests/web/test_segments.py"),
    ),
    Mutant(
        "what had arrived is forgotten at a reset",
        "streamlimit/delivery/wire.py",
        "            self.watcher.acknowledged()\n        self.is_reset = True",
        "            pass\n        self.is_reset = True",
        ("tests/delivery/test_pour.py", "-k", "had_arrived"),
    ),
    Mutant(
        "all whose time is over go at once",
        "streamlimit/http/limits.py",
        "until > now or len(due) == at_most",
        "until > now",
        ("tests/web/test_connections.py", "-k", "a_few_at_a_time"),
    ),
    Mutant(
        "the more are waited for, the longer it takes",
        "streamlimit/http/limits.py",
        "max(AT_ONCE, len(self._waiting) // ROUNDS)",
        "AT_ONCE",
        ("tests/web/test_connections.py", "-k", "a_few_at_a_time"),
    ),
    Mutant(
        "what viewers leave is walked through as it comes", COLLECTOR, "(YOUNG, NEVER, NEVER)", "(YOUNG, 1, 1)", CALM
    ),
    Mutant("lines are torn where workers share a pipe", LOG_LINES, "if self._bytes > PIPE_BYTES:", "if False:", LOGGED),
    Mutant("an error overtakes what led to it", LOG_LINES, SAID_AT_ONCE, SAID_AT_ONCE.partition("\n")[2], LOGGED),
    Mutant("the last words are lost", LOG_LINES, "atexit.register(log_lines.flush)", "", LOGGED),
    Mutant(
        "lines wait for a loop that is gone",
        LOG_LINES,
        "if loop is not self._loop:",
        "if len(self._lines) == 1:",
        LOGGED,
    ),
    Mutant("the server waits until a worker has read all", VALKEY_CONNECTION, "self._awaited == AHEAD", "False", PIPE),
    Mutant(
        "each receipt is a packet of its own",
        VALKEY_CONNECTION,
        "if call is not None and call.is_awaited:",
        "if True:",
        PIPE,
    ),
    Mutant(
        "a turn has no end of its own",
        VALKEY_CONNECTION,
        "        self._is_flushing = False\n        if",
        "        if",
        PIPE,
    ),
    Mutant("nobody looks for what has stayed", COLLECTOR, "            gc.collect(", "            len(", CALM),
]
