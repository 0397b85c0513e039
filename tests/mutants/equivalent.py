"""Small breakages that no test can notice, since nothing that is promised changes by them: each with the reason.

The named mutants are none of these. A key is the function and the line as it stands broken (or what was left out of
it); each excuses one mutant of `rules/`, or those of a line of a script.
"""

SLOWER = "the two steps one by one come to the same"
AT_ONCE = "at that very moment both come to the same"
COSTS_MORE = "a visit costs far more than a millisecond or two"
NO_EMPTY = "no device has an empty id, whose length would be one"
NONE_OLDER = "no other lease of the new seat is older than it"
OTHER_ORDER = "the two kinds come in the other order"
SAME_BYTE = "a byte holds the same 128 less as 128 more"
SAME_PLAY = "`is_change` says no to the play that goes on"

PYTHON: dict[str, str] = {
    "admit._reserve: generation=max([now_ms, *(old + 2 for old in ended)]),": "any later generation will do",
    "beat._go_on: if seat.last_activity_ms is None or seat.last_activity_ms <= now_ms:": AT_ONCE,
    "beat._just_goes_on: if ask.play or ask.play != seat.play:": SLOWER,
    "beat._just_goes_on: is_no_news = seat.given and (ask.grant_generation is None and ask.purpose is _LEASE)": SLOWER,
    "beat._just_goes_on: is_no_repeat = ask.sequence is None and not seat.repeats": SLOWER,
    "beat._just_starts: if ask.device is not None or policy.reclaim_device is Reclaim.ALWAYS:": SLOWER,
    "beat.beat: if ledger.marks or ask.purpose is not _CHECK:": SLOWER,
    "confirm._seat_again: again = Lease(ask, seat.generation, seat.move, )": NONE_OLDER,
    "confirm._seat_again: return Outcome(Gone(State.ENDED), changed=True)": "what is written then is what was read",
    "confirm._settle: seat.last_activity_ms = max(seat.last_activity_ms or 1, received_ms)": "nobody received in 1970",
    "confirm.prolong_by_receipt: if seat.expires_at_ms <= plays_until_ms + policy.expiry_ms:": AT_ONCE,
    "confirm.prolong_by_receipt: seat.ahead_until_ms = 1": "1970 is past, too",
    "grants.Grants.newest_dead: if each.session_id == session_id and each.until_ms > "
    "now_ms and each.generation >= newest:": AT_ONCE,
    "grants.kill: alike = [each for each in grants.dead if each.given is not kind]": OTHER_ORDER,
    "ledger.Ledger.due_at_ms: if earliest is None or mark.until_ms <= earliest:": AT_ONCE,
    "ledger.Ledger.due_at_ms: if earliest is None or seat.expires_at_ms <= earliest:": AT_ONCE,
    "plays.breaks_lock: return seat.is_locked and play is not None and play >= "
    "seat.play and is_change(seat, play, policy, now_ms)": SAME_PLAY,
    "plays.is_locked_out: return seat.is_locked and play is not None and play <= "
    "seat.play and is_change(seat, play, policy, now_ms)": SAME_PLAY,
    "plays.take_over: elif play <= seat.play and (seat.is_locked or (seat.changes "
    "and admitted_ms < seat.changes[-1])):": SAME_PLAY,
    "visits.cost_ms: return max(policy.visit_ms // max(limit, 1), 2)": COSTS_MORE,
}
"""Of `rules/`, as survivors.py compares them with what `mutmut run` left alive."""

LUA: dict[str, str] = {
    "admit.lua: local has_seat = value and id_length > 1 and "
    "value:find(device:sub(1, id_length + 1), 12, true)": NO_EMPTY,
    "beat.lua: local has_seat = value and id_length > 1 and "
    "value:find(device:sub(1, id_length + 1), 12, true)": NO_EMPTY,
    "beat.lua: local its_play = has % 4 >= 2 and value:sub(found + size - 8, found + size - 2) or ''": SLOWER,
    "confirm.lua: elseif is_first and its_stream == stream and positions ~= 0 and sequence > 0 "
    "and expires >= filed and has < 2": SLOWER,
    "ledger.lua save: local marks = #ledger.marks - (has_spent and SPENT or 0) + (ends and ENDS or 0)": SAME_BYTE,
    "ledger.lua pack_seat: if seat.revives + #seat.left + #seat.returns + #seat.leases >= 0 "
    "then extras, has = pack_extras(seat), 1 end": SLOWER,
}
"""Of the scripts, as lua.py breaks them."""
