"""The rule about several players (plays) of one session: which of them goes on (rule 8).

A play begins with its first received media. A heartbeat that names no play is of the current one.
"""

from streamlimit.model import Ask, Purpose, Receipt
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Seat


def named(ask: Ask) -> int | None:
    """The play of a request; None: it is of no play.

    That is a heartbeat without a play (alone without a lease id), which is of the current play, or a request for a
    playback URL, whose play does not exist yet.
    """
    is_a_players = ask.lease_id and ask.purpose is not Purpose.SEAT
    return ask.play if ask.play or is_a_players else None


def of_receipt(receipt: Receipt) -> int | None:
    """The play of a receipt; None: a heartbeat without a play."""
    is_media = receipt.segment is not None or receipt.sequence is not None
    return receipt.lease.ask.play if receipt.lease.ask.play or is_media else None


def is_change(seat: Seat, play: int | None, policy: Policy, now_ms: int) -> bool:
    """Would *play* take the session over from one that received within the last 2·X?"""
    if not policy.max_returns or play is None or play == seat.play or not _has_begun(seat):
        return False
    return seat.last_activity_ms is not None and now_ms - seat.last_activity_ms < 2 * policy.segment_ms


def is_locked_out(seat: Seat, play: int | None, policy: Policy, now_ms: int) -> bool:
    """Is *play* one change too many? A play newer than the current one is not: that is a reload."""
    return seat.is_locked and play is not None and play < seat.play and is_change(seat, play, policy, now_ms)


def breaks_lock(seat: Seat, play: int | None, policy: Policy, now_ms: int) -> bool:
    """Does a newer play take the session over though plays have changed too often? Then it pays a visit."""
    return seat.is_locked and play is not None and play > seat.play and is_change(seat, play, policy, now_ms)


def take_over(seat: Seat, play: int | None, admitted_ms: int, policy: Policy, now_ms: int) -> bool:
    """Makes *play*, which received, the current one. False: it is an older one that had lost the session before."""
    if seat.changes and seat.changes[-1] <= now_ms - policy.expiry_ms:
        seat.changes = []
    if play is None or not policy.max_returns or (play == seat.play and _has_begun(seat)):
        return True
    if not is_change(seat, play, policy, now_ms):
        seat.is_locked, seat.changes = False, []
    elif play < seat.play and (seat.is_locked or (seat.changes and admitted_ms < seat.changes[-1])):
        return False
    else:
        _note_change(seat, policy, now_ms)
    if seat.play != play:
        seat.play, seat.positions = play, {}
    return True


def _has_begun(seat: Seat) -> bool:
    """Has any play of the session begun?"""
    return seat.play != 0 or seat.segment is not None or bool(seat.positions)


def _note_change(seat: Seat, policy: Policy, now_ms: int) -> None:
    """Counts a change of play; at the limit the session is locked to the play that received last."""
    seat.changes = [at_ms for at_ms in seat.changes if at_ms > now_ms - policy.expiry_ms] + [now_ms]
    if seat.is_locked or len(seat.changes) >= policy.max_returns:
        seat.is_locked, seat.changes = True, []
