"""Players of one session (rule 8): which of its plays goes on, where there are several.

A play begins with its first received media. A heartbeat that names no play is of whichever plays.
"""

from streamlimit.model import Ask, Purpose, Receipt
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Seat


def named(ask: Ask) -> int | None:
    """The play whose request it is; None: of no player.

    A heartbeat (that alone names no lease) is of whichever plays, and a request for a playback URL will play by one
    that is not made yet.
    """
    is_a_players = ask.lease_id and ask.purpose is not Purpose.SEAT
    return ask.play if ask.play or is_a_players else None


def of_receipt(receipt: Receipt) -> int | None:
    """The play that received; None: a heartbeat without a play, which received nothing."""
    is_media = receipt.segment is not None or receipt.sequence is not None
    return receipt.lease.ask.play if receipt.lease.ask.play or is_media else None


def is_change(seat: Seat, play: int | None, policy: Policy, now_ms: int) -> bool:
    """Would *play* take the session over from one that received within the last 2·X?"""
    if not policy.max_returns or play is None or play == seat.play or not _has_begun(seat):
        return False
    return seat.last_activity_ms is not None and now_ms - seat.last_activity_ms < 2 * policy.segment_ms


def is_locked_out(seat: Seat, play: int | None, policy: Policy, now_ms: int) -> bool:
    """Is it one change of plays too many? A play that began later than the current one is not refused: a reload."""
    return seat.is_locked and play is not None and play < seat.play and is_change(seat, play, policy, now_ms)


def breaks_lock(seat: Seat, play: int | None, policy: Policy, now_ms: int) -> bool:
    """Does a younger play take the session over though plays have changed too often? Then it pays a visit."""
    return seat.is_locked and play is not None and play > seat.play and is_change(seat, play, policy, now_ms)


def take_over(seat: Seat, play: int | None, admitted_ms: int, policy: Policy, now_ms: int) -> bool:
    """*play* received. False: what an older one had asked for before it lost the session counts for nothing here."""
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
    """Has any play?"""
    return seat.play != 0 or seat.segment is not None or bool(seat.positions)


def _note_change(seat: Seat, policy: Policy, now_ms: int) -> None:
    """Counts one; where there are as many as may be, the session is locked to the play that received last."""
    seat.changes = [at_ms for at_ms in seat.changes if at_ms > now_ms - policy.expiry_ms] + [now_ms]
    if seat.is_locked or len(seat.changes) >= policy.max_returns:
        seat.is_locked, seat.changes = True, []
