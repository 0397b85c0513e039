"""Who watches with whom: one seat a device, plays of one session, visits."""

from tests.mutants.mutant import Mutant

ADMIT = "streamlimit/rules/admit.py"
DEVICES = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and device")

PLAYS, VISITS, BEAT = "streamlimit/rules/plays.py", "streamlimit/rules/visits.py", "streamlimit/rules/beat.py"
CONFIRM_IN_LUA, ADMIT_IN_LUA = "streamlimit/store/valkey/confirm.lua", "streamlimit/store/valkey/admit.lua"
OF_PLAYS = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (play or hand_over or left_behind or reload)")
OF_VISITS = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and (visit or budget or zapping or seat or given)")
MACHINE = ("tests/store/test_machine.py",)
BESIDE = ("tests/store/test_valkey.py", "-k", "TestBeside and (visits or shared)")

MUTANTS = [
    Mutant(
        "plays of one session never change",
        PLAYS,
        "return seat.last_activity_ms is not None and",
        "return False and",
        OF_PLAYS,
    ),
    Mutant("a lock wears out", PLAYS, "        seat.is_locked, seat.changes = True, []\n", "        pass\n", OF_PLAYS),
    Mutant(
        "a reload is refused",
        PLAYS,
        "return seat.is_locked and play is not None and play < seat.play and",
        "return seat.is_locked and play is not None and",
        OF_PLAYS,
    ),
    Mutant(
        "a receipt under way takes a hand-over back",
        PLAYS,
        "(seat.changes and admitted_ms < seat.changes[-1])",
        "False",
        OF_PLAYS,
    ),
    Mutant(
        "a heartbeat is a player of its own",
        PLAYS,
        "return ask.play if ask.play or is_a_players else None",
        "return ask.play",
        OF_PLAYS,
    ),
    Mutant(
        "who reloads is refused a playback URL",
        PLAYS,
        "is_a_players = ask.lease_id and ask.purpose is not Purpose.SEAT",
        "is_a_players = ask.lease_id",
        ("tests/store/test_sqlite.py", "-k", "no_player_yet"),
    ),
    Mutant(
        "who reloads is refused the entry",
        "streamlimit/web/viewer.py",
        ' | {"play": play})',
        ")",
        ("tests/web/test_plays.py", "-k", "hand_overs and tiny"),
    ),
    Mutant("a move costs nothing", VISITS, "        return True\n", "        return False\n", OF_VISITS),
    Mutant(
        "a visit paid for is free for ever",
        VISITS,
        "return now_ms - paid.at_ms >= policy.segment_ms",
        "return False",
        OF_VISITS,
    ),
    Mutant(
        "a skipped stream gives its visit back",
        VISITS,
        "    if now_ms - paid.at_ms < ends_ms - FORGIVEN_SEGMENTS * policy.segment_ms:\n",
        "    if False:\n",
        OF_VISITS,
    ),
    Mutant(
        "a stream ends with its subtitles",
        "streamlimit/delivery/ends.py",
        "max(map(_length_ms, ending), default=0)",
        "min(map(_length_ms, ending), default=0)",
        ("tests/delivery/test_hls.py", "-k", "how_long_the_stream"),
    ),
    Mutant(
        "an outage gives visits away",
        "streamlimit/cache/budgets.py",
        "        if wait > 0 and policy.enforce:\n",
        "        if False:\n",
        ("tests/cache/test_visits.py",),
    ),
    Mutant(
        "a dry run cuts downloads",
        "streamlimit/rules/confirm.py",
        "    if policy.enforce and _is_left_behind(",
        "    if _is_left_behind(",
        ("tests/store/test_sqlite.py", "-k", "dry_run_cuts"),
    ),
    Mutant(
        "a download goes on though its session has moved on",
        "streamlimit/rules/confirm.py",
        "    if policy.enforce and _is_left_behind(",
        "    if False and _is_left_behind(",
        ("tests/store/test_sqlite.py", "-k", "long_downloads or left_behind"),
    ),
    Mutant(
        "a stale receipt gives a visit back",
        "streamlimit/rules/confirm.py",
        "        if receipt.ends_ms and lease.ask.stream_id == seat.stream_id:\n",
        "    if True:\n        if receipt.ends_ms:\n",
        ("tests/store/test_sqlite.py", "-k", "stale_receipt"),
    ),
    Mutant("machine: a move costs nothing", VISITS, "        return True\n", "        return False\n", MACHINE),
    Mutant(
        "machine: one visit too many",
        VISITS,
        "+ cost_ms(limit, policy) - policy.burst_ms, 0)",
        "- policy.burst_ms, 0)",
        MACHINE,
    ),
    Mutant("a visit is given back twice", VISITS, "    seat.paid = Paid(seat.stream_id, 0)\n", "", OF_VISITS),
    Mutant(
        "a spent budget is forgotten with the sessions",
        "streamlimit/rules/ledger.py",
        " and not self.spent_until_ms\n",
        "\n",
        OF_VISITS,
    ),
    Mutant(
        "a heartbeat starts without budget",
        BEAT,
        " and not visits.wait_ms(ledger, limit, policy, now_ms):",
        ":",
        OF_VISITS,
    ),
    Mutant(
        "in Lua a move costs nothing",
        ADMIT_IN_LUA,
        "  if seat.paid ~= stream or (breaks and seat.paid_play ~= play) then return true end\n",
        "",
        BESIDE,
    ),
    Mutant(
        "in Lua plays never change hands",
        CONFIRM_IN_LUA,
        "  if seat.play ~= play then seat.play, seat.positions = play, {} end\n",
        "",
        BESIDE,
    ),
    Mutant(
        "a device's next session waits for its silence",
        ADMIT,
        "return policy.reclaim_device is Reclaim.ALWAYS and _is_of_device(seat, ask)",
        "return False",
        DEVICES,
    ),
    Mutant(
        "a heartbeat starts a second session of a device",
        "streamlimit/rules/beat.py",
        "    if ask.device is not None and policy.reclaim_device is Reclaim.ALWAYS:\n",
        "    if False:\n",
        DEVICES,
    ),
    Mutant(
        "sessions without a device are one device",
        ADMIT,
        "return device_id is not None and device_id == _device_id(seat.device)",
        "return device_id == _device_id(seat.device)",
        DEVICES,
    ),
]
