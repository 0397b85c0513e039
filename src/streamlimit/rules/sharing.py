"""Signs of two players on one session (rule 8): ping-pong of streams, changes of play, repeats from another address."""

from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.rules import plays
from streamlimit.rules.ledger import Left, Position, Seat

STREAMS_REMEMBERED = 2
"""The last streams a return to which is ping-pong; longer rings are bounded by visits (rule 13)."""


def is_return(seat: Seat, stream_id: str, policy: Policy, now_ms: int) -> bool:
    """Would this bring the session back to a stream that it left within the last 2·X?"""
    since_ms = now_ms - 2 * policy.segment_ms
    return stream_id != seat.stream_id and any(
        left.stream_id == stream_id and left.at_ms > since_ms for left in seat.left
    )


PARTS = 64
"""Places of one segment: a place is the segment's number times this, plus the low-latency part in it, so that a player
that goes forward never returns to a place (rule 8). Parts beyond are one place."""


def place_of(sequence: int, part: int) -> int:
    """The place in its stream of a part of a segment; part 0 is the whole segment, or its first part."""
    return sequence * PARTS + min(part, PARTS - 1)


def is_repeat(seat: Seat, kind: str, sequence: int | None, part: int, client: str) -> bool:
    """Is this media at or behind the position of its kind, from another address than the last one?

    An unknown address (an edge's report has none) is no second one.
    """
    position = seat.positions.get(kind)
    if position is None or sequence is None or not client or position.client in ("", client):
        return False
    return place_of(sequence, part) <= position.place


def is_shared(seat: Seat, ask: Ask, policy: Policy, now_ms: int) -> bool:
    """Is this request one return, change of play or repeat too many? The returning player is refused."""
    if not policy.max_returns:
        return False
    play = plays.named(ask)
    if plays.is_locked_out(seat, play, policy, now_ms):
        return True
    if ask.stream_id != seat.stream_id:
        return _is_too_many(seat.returns, policy, now_ms) and is_return(seat, ask.stream_id, policy, now_ms)
    if plays.is_change(seat, play, policy, now_ms) or not _is_too_many(seat.repeats, policy, now_ms):
        return False
    return is_repeat(seat, ask.kind, ask.sequence, ask.part, ask.client)


def _is_too_many(times: list[int], policy: Policy, now_ms: int) -> bool:
    """Are there already as many *times* within n·X as allowed?"""
    return sum(at_ms > now_ms - policy.expiry_ms for at_ms in times) >= policy.max_returns


def with_one_more(times: list[int], policy: Policy, now_ms: int) -> list[int]:
    """*times* with one more, cut to the number that can matter."""
    recent = [at_ms for at_ms in times if at_ms > now_ms - policy.expiry_ms]
    return [*recent, now_ms][-(policy.max_returns + 1) :]


def note_repeat(seat: Seat, client: str, policy: Policy, now_ms: int) -> None:
    """Notes a repeat; a seek counts as one, whatever else is fetched from that address."""
    seat.repeats = with_one_more(seat.repeats, policy, now_ms)
    seat.positions = {kind: Position(position.place, client) for kind, position in seat.positions.items()}


def note_left(seat: Seat, policy: Policy, now_ms: int) -> None:
    """Remembers the stream that the session is about to leave."""
    since_ms = now_ms - 2 * policy.segment_ms
    recent = [old for old in seat.left if old.at_ms > since_ms and old.stream_id != seat.stream_id]
    seat.left = [*recent, Left(seat.stream_id, now_ms)][-STREAMS_REMEMBERED:]


def note_position(seat: Seat, kind: str, sequence: int, part: int, client: str) -> None:
    """Notes the position of a kind of media; an unknown client leaves the stored one unchanged."""
    before = seat.positions.get(kind)
    seat.positions[kind] = Position(place_of(sequence, part), client or (before.client if before else ""))
