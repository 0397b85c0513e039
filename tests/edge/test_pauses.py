"""A seat of a session that says it is paused is held for so much longer, and no longer."""

from typing import cast

from msgspec.structs import replace

from streamlimit.edge.pauses import Pauses
from streamlimit.limiter import Limiter
from streamlimit.model import Ask, Gone, Lease, Purpose, Session, State
from tests.background import tasks_beside, until_nothing_is_done_beside

ASK = Ask("u", "s", "film", Purpose.CHECK)
SESSION = Session("s", "u", "film", State.ACTIVE, None, None, None, 1, 5, 9, 7, 3)


class _Prolonged:
    """A limiter that only prolongs."""

    def __init__(self, answer: Gone | None = None) -> None:
        self.leases: list[Lease] = []
        self._answer = answer

    def prolong(self, lease: Lease) -> Gone | None:
        self.leases.append(lease)
        return self._answer


def pauses(limiter: _Prolonged, expiry: float, paused: float) -> Pauses:
    return Pauses(cast(Limiter, limiter), expiry, paused)


async def test_it_is_held_at_once_by_its_own_seat_and_repeating_it_begins_nothing_anew() -> None:
    limiter = _Prolonged()
    held = pauses(limiter, 0.1, 0.1)
    await held.begin(ASK, SESSION)
    assert [(each.generation, each.move) for each in limiter.leases] == [(7, 3)]
    await until_nothing_is_done_beside()
    times = len(limiter.leases)
    assert times > 1
    await held.begin(ASK, SESSION)
    assert len(limiter.leases) == times
    assert not tasks_beside()
    await held.begin(ASK, replace(SESSION, last_activity_ms=6))
    assert len(limiter.leases) == times + 1
    await until_nothing_is_done_beside()


async def test_who_plays_again_is_let_go() -> None:
    held = pauses(_Prolonged(), 0.1, 3_600)
    await held.begin(ASK, SESSION)
    held.end("u", "s")
    await until_nothing_is_done_beside()


async def test_where_there_is_nothing_to_keep_nothing_is_held() -> None:
    limiter = _Prolonged()
    for session in (None, replace(SESSION, last_activity_ms=None), replace(SESSION, generation=0)):
        await pauses(limiter, 0.1, 10).begin(ASK, session)
    await pauses(limiter, 0.1, 0).begin(ASK, SESSION)
    assert limiter.leases == []
    gone = pauses(_Prolonged(Gone(State.EXPIRED)), 0.1, 10)
    await gone.begin(ASK, SESSION)
    assert not tasks_beside()
