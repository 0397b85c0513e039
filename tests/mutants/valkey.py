"""Breakages of the store on Valkey: its scripts, and the connections to its servers."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "the quick way takes over an address that nobody knows",
        "streamlimit/store/valkey/confirm.lua",
        "if client == 0 then whose = its_client end",
        "",
        ("tests/store/test_valkey.py", "-k", "nobody_knows"),
    ),
    Mutant(
        "in Lua nobody gives way",
        "streamlimit/store/valkey/admit.lua",
        "for _, seat in ipairs(going) do replace_seat(seat) end",
        "",
        ("tests/store/test_policies.py", "-k", "redis"),
    ),
    Mutant(
        "in Lua a move costs nothing",
        "streamlimit/store/valkey/admit.lua",
        "  if seat.paid ~= stream or (breaks and seat.paid_play ~= play) then return true end\n",
        "",
        ("tests/store/test_valkey.py", "-k", "TestBeside and (visits or shared)"),
    ),
    Mutant(
        "a heartbeat's quick way does not know that a limit ended",
        "streamlimit/store/valkey/beat.lua",
        "if limit_till > 0 and limit_till <= now then own_limit = NONE end",
        "",
        ("tests/store/test_valkey.py", "-k", "TestOnValkey and not Cluster and (limit or way)"),
    ),
    Mutant(
        "a script is carried out after its deadline",
        "streamlimit/store/valkey/clock.lua",
        "if now >= tonumber(ARGV[#ARGV])",
        "if false",
        ("tests/store/test_valkey_given_up.py", "-k", "server_that_hung or held_back"),
    ),
    Mutant(
        "a receipt's quick way does not know that a limit ended",
        "streamlimit/store/valkey/confirm.lua",
        "if marks % 128 >= 64 and",
        "if false and",
        ("tests/store/test_valkey.py", "-k", "TestOnValkey and not Cluster and (limit or way)"),
    ),
    Mutant(
        "in Lua plays never change hands",
        "streamlimit/store/valkey/confirm.lua",
        "  if seat.play ~= play then seat.play, seat.positions = play, {} end\n",
        "",
        ("tests/store/test_valkey.py", "-k", "TestBeside and (visits or shared)"),
    ),
    Mutant(
        "a hearer that breaks costs the others theirs",
        "streamlimit/store/valkey/connection.py",
        "except Exception as error:  # as a future's",
        "except KeyError as error:  # as a future's",
        ("tests/store/test_valkey_faults.py", "-k", "hearer_that_breaks"),
    ),
    Mutant(
        "who asked last before the connection was given up fails with the others, though it is carried out",
        "streamlimit/store/valkey/connection.py",
        "        self._fail_what_is_due()\n\n    def _fail_what",
        "        self._fail(len(self._waiting), HANGS)\n        self._forget()\n\n    def _fail_what",
        ("tests/store/test_valkey_given_up.py", "-k", "asked_last"),
    ),
    Mutant(
        "a batch that is sent again counts again on Valkey",
        "streamlimit/store/valkey/report.lua",
        "if number > tonumber(call('HGET', KEYS[first + 1], last) or 0) then",
        "do",
        ("tests/store/test_valkey_reports.py", "-k", "OnRedis"),
    ),
    Mutant(
        "a server whose clock was set refuses everything",
        "streamlimit/store/valkey/router.py",
        "            pipe.clock.hear(float(rest))\n            self._again(pipe, call)",
        "            call.fail(text)",
        ("tests/store/test_valkey_given_up.py", "-k", "clock_was_set"),
    ),
    Mutant(
        "in Lua a mark outlasts its silence",
        "streamlimit/store/valkey/rules.lua",
        "state, now, now + expiry_ms,",
        "state, now, now + expiry_ms + 20,",
        ("tests/store/test_valkey.py", "-k", "TestOnValkey and not Cluster and (never_asked or the_silence_counts)"),
    ),
    Mutant(
        "a refusal is told to the feed by each worker",
        "streamlimit/store/valkey/told.lua",
        "if till and tonumber(till) > now then return nil end",
        "",
        ("tests/store/test_valkey_feed.py",),
    ),
]
