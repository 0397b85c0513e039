"""Small breakages that no test can notice, since nothing that is promised changes by them: each with the reason.

The named mutants are none of these. A key is the file and the line as it stands broken (or what was left out of it).
"""

SLOWER = "the two steps one by one come to the same"
AT_ONCE = "at that very moment both come to the same"
SAME_PLAY = "`is_change` says no to the play that goes on"

PYTHON: dict[str, str] = {
    "admit: generation=max([now_ms, *(old + 2 for old in ended)]),": "any later generation will do",
    "beat: if ledger.marks or ask.purpose is not _CHECK:": SLOWER,
    "beat: if seat.last_activity_ms is None or seat.last_activity_ms <= now_ms:": AT_ONCE,
    "beat: is_no_repeat = ask.sequence is None and not seat.repeats": SLOWER,
    "beat: if ask.play or ask.play != seat.play:": SLOWER,
    "beat: is_no_news = seat.given and (ask.grant_generation is None and ask.purpose is _LEASE)": SLOWER,
    "beat: if ask.device is not None or policy.reclaim_device is Reclaim.ALWAYS:": SLOWER,
    "confirm: again = Lease(ask, seat.generation, seat.move, )": "no other lease of the new seat is older than it",
    "confirm: return Outcome(Gone(State.ENDED), changed=True)": "what is written then is what was read",
    "confirm: seat.last_activity_ms = max(seat.last_activity_ms or 1, received_ms)": "nobody received in 1970",
    "confirm: if seat.expires_at_ms <= plays_until_ms + policy.expiry_ms:": AT_ONCE,
    "confirm: seat.ahead_until_ms = 1": "1970 is past, too",
    "grants: alike = [each for each in grants.dead if each.given is not kind]": "the two kinds come in the other order",
    "grants: if each.session_id == session_id and each.until_ms > now_ms and each.generation >= newest:": AT_ONCE,
    "ledger: if earliest is None or seat.expires_at_ms <= earliest:": AT_ONCE,
    "ledger: if earliest is None or mark.until_ms <= earliest:": AT_ONCE,
    "plays: return seat.is_locked and play is not None and play >= seat.play and "
    "is_change(seat, play, policy, now_ms)": SAME_PLAY,
    "plays: return seat.is_locked and play is not None and play <= seat.play and "
    "is_change(seat, play, policy, now_ms)": SAME_PLAY,
    "plays: elif play <= seat.play and (seat.is_locked or (seat.changes and "
    "admitted_ms < seat.changes[-1])):": SAME_PLAY,
    "visits: return max(policy.visit_ms // max(limit, 1), 2)": "a visit costs far more than a millisecond or two",
}
"""Of `rules/`, as survivors.py compares them with what `mutmut run` left alive."""

LUA: dict[str, str] = {}
"""Of the scripts, as lua.py breaks them."""
