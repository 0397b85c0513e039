"""The loss of a seat, for any reason: it is removed from the ledger, leaves a mark, and makes one event."""

from streamlimit.model import Device, Event, Mark, State
from streamlimit.policy import MARKS_KEPT, Policy
from streamlimit.rules.ledger import NOBODYS, Ledger, Seat, show


def lapse(user_id: str, ledger: Ledger, seat: Seat, now_ms: int) -> Event:
    """Removes a seat past its time: of an expired session, or a reservation whose segment never arrived."""
    if seat.last_activity_ms is None:
        return give_back(user_id, ledger, seat, now_ms, "reservation ran out")
    ledger.seats.remove(seat)
    return Event("session.expired", show(user_id, seat, State.EXPIRED), now_ms, "idle")


def lapse_all(user_id: str, ledger: Ledger, now_ms: int) -> tuple[Event, ...]:
    """Removes every seat past its time; each change of the ledger does so (rule 7)."""
    due = [seat for seat in ledger.seats if seat.expires_at_ms <= now_ms]
    return tuple(lapse(user_id, ledger, seat, now_ms) for seat in due)


def give_back(user_id: str, ledger: Ledger, seat: Seat, now_ms: int, reason: str) -> Event:
    """Removes a reservation that is given back: nothing was received."""
    ledger.seats.remove(seat)
    return Event("session.abandoned", show(user_id, seat, State.ABANDONED), now_ms, reason)


def dismiss(
    user_id: str,
    ledger: Ledger,
    seat: Seat,
    policy: Policy,
    now_ms: int,
    state: State,
    by: str,
    reason: str,
    by_session_id: str | None = None,
    by_device: str | Device | None = None,
) -> Event:
    """Removes the seat of a session ended by its viewer, or terminated by an operator or another device."""
    ledger.seats.remove(seat)
    mark = Mark(
        session_id=seat.session_id,
        generation=seat.generation,
        state=state,
        at_ms=now_ms,
        until_ms=now_ms + policy.expiry_ms,
        by=by,
        reason=reason,
        by_session_id=by_session_id,
        by_device=by_device,
    )
    remember(ledger, mark, now_ms)
    return Event(f"session.{state}", show(user_id, seat, state), now_ms, reason, by)


def remember(ledger: Ledger, mark: Mark, now_ms: int) -> None:
    """Adds a mark; of each kind the newest `MARKS_KEPT` stay, and an operator's before a viewer's (rule 12)."""
    marks = [old for old in ledger.marks if old.until_ms > now_ms and old.session_id != NOBODYS] + [mark]
    nobodys = [old for old in ledger.marks if old.until_ms > now_ms and old.session_id == NOBODYS]
    same = [each for each in marks if each.state is mark.state]
    if len(same) > MARKS_KEPT:
        out = next((each for each in same if each.by == "viewer"), same[0])
        marks = [each for each in marks if each is not out]
        nobodys = [_joined([*nobodys, out])]
    ledger.marks = nobodys + marks


def _joined(marks: list[Mark]) -> Mark:
    """One mark in the place of those that found no room: no late receipt of their time seats a session again."""
    generation, until_ms = max(each.generation for each in marks), max(each.until_ms for each in marks)
    return Mark(NOBODYS, generation, State.ENDED, marks[-1].at_ms, until_ms)
