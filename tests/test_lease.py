"""A lease of a limiter, for whoever embeds it: what leaving its block does, and what may be done to it before."""

import pytest

from streamlimit.errors import Refused
from streamlimit.limiter import LeaseHolder, Limiter
from streamlimit.model import Admitted, Ask, Confirmed, Purpose, Session
from streamlimit.policy import Policy
from streamlimit.store.memory import MemoryStore


class House:
    """One user's seat (there is one) on a store whose clock stands still."""

    def __init__(self) -> None:
        self.now_ms = 1_750_000_000_000
        self.store = MemoryStore(Policy(max_sessions=1), clock=lambda: self.now_ms)
        self.limiter = Limiter(self.store)

    def lease(self, session: str = "tv", stream: str = "film", purpose: Purpose = Purpose.LEASE) -> LeaseHolder:
        return self.limiter.lease(Ask("ann", session, stream, purpose=purpose))

    @property
    def sitting(self) -> tuple[Session, ...]:
        return self.store.sessions("ann").sessions


@pytest.fixture
def home() -> House:
    return House()


async def broken_off(lease: LeaseHolder, *received: int) -> None:
    """Some segments are received, then the connection goes."""
    async with lease:
        for number in received:
            await lease.confirm(f"{number}.ts", number)
        raise ConnectionError


async def test_leaving_normally_confirms_what_was_issued(home: House) -> None:
    async with home.lease() as lease:
        lease.issue("7.ts", 7, "video", 4_000)
    assert [(each.state, each.sequence) for each in home.sitting] == [("active", 7)]


async def test_an_exception_gives_the_seat_back_once(home: House) -> None:
    lease = home.lease()
    with pytest.raises(ConnectionError):
        await broken_off(lease)
    assert home.sitting == ()
    async with home.lease("phone"):
        await lease.abandon()  # the second time: of nothing
    assert [each.session_id for each in home.sitting] == ["phone"]


async def test_what_was_confirmed_stays_confirmed_whatever_breaks_afterwards(home: House) -> None:
    with pytest.raises(ConnectionError):
        await broken_off(home.lease(), 1)
    assert [(each.state, each.sequence) for each in home.sitting] == [("active", 1)]
    assert home.limiter.tally.not_received == 0


async def test_what_was_abandoned_is_not_confirmed_by_leaving(home: House) -> None:
    async with home.lease() as lease:
        await lease.abandon()
    assert home.sitting == ()


async def test_several_segments_of_one_lease_count_though_the_first_moved_the_session(home: House) -> None:
    async with home.lease(stream="film"):
        pass
    async with home.lease(stream="news") as lease:
        for number in range(3):
            home.now_ms += 1_000
            verdict = await lease.confirm(f"{number}.ts", number)
            assert isinstance(verdict, Confirmed)
    assert [(each.stream_id, each.sequence) for each in home.sitting] == [("news", 2)]


async def test_a_session_that_ended_meanwhile_is_not_brought_back(home: House) -> None:
    async with home.lease() as lease:
        home.store.end("ann", "tv")
        assert not isinstance(await lease.confirm("1.ts", 1), Confirmed)
    assert home.sitting == ()


async def test_who_finds_no_seat_enters_no_block(home: House) -> None:
    async with home.lease():
        pass
    with pytest.raises(Refused):
        async with home.lease("phone"):
            pytest.fail("the block was entered")


async def test_a_check_holds_no_lease(home: House) -> None:
    with pytest.raises(ValueError, match="a check holds no lease"):
        async with home.lease(purpose=Purpose.CHECK):
            pytest.fail("the block was entered")
    checked = home.store.admit(Ask("ann", "tv", "film", purpose=Purpose.CHECK))
    assert isinstance(checked, Admitted)
    with pytest.raises(ValueError, match="a check holds no lease"):
        LeaseHolder(home.limiter, Ask("ann", "tv", "film"), checked)


async def test_who_names_the_lease_keeps_its_name(home: House) -> None:
    for name in ("mine", "mine"):
        decided = home.limiter.admit(Ask("ann", "tv", "film", lease_id=name))
        assert isinstance(decided, Admitted)
        assert decided.lease is not None
        assert decided.lease.ask.lease_id == "mine"
    home.store.abandon(decided.lease)
    assert home.sitting == (), "twice was once"
