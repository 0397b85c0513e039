"""What an operator takes back: terminations, and all that is known of a user. Part of contract.py."""

import pytest

from streamlimit.model import Admitted, Purpose, State
from streamlimit.policy import MARKS_KEPT
from streamlimit.store.contract import resolved
from tests.store.store_driver import ALL_TYPES, N, StoreDriver, X, all_limits, opened_with, types


class Undo:
    """A terminated session may be let back in at once; a user may be forgotten."""

    async def test_a_forgiven_session_comes_back_at_once_and_is_another_one(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        await home.terminate("tv", "operator", "why")
        assert (await home.refused("tv")).code == "session-terminated"
        assert await self._forgive(home, "tv") == 1
        assert await self._forgive(home, "tv") == 0
        back = await home.lease("tv")
        assert back.generation > lease.generation
        assert (await home.late(lease, 1)).state is not State.ACTIVE  # and the old one's receipt is nobody's
        await home.received(back, 1)

    async def test_there_is_nothing_to_forgive_from_the_millisecond_on_in_which_it_may_come_back(
        self, home: StoreDriver
    ) -> None:
        for early, forgiven in ((1, 1), (0, 0)):
            await home.watch("tv")
            await home.terminate("tv")
            home.later(N * X - early)
            assert await self._forgive(home, "tv") == forgiven
            home.later(N * X)

    @pytest.mark.parametrize("way", ["beat", "check", "ask"])
    async def test_every_way_in_forgets_the_termination(self, home: StoreDriver, way: str) -> None:
        await home.watch("tv")
        await home.terminate("tv")
        await home.refused("tv")
        await self._forgive(home, "tv")
        answer = await (home.beat("tv") if way == "beat" else self._ask(home, way))
        assert isinstance(answer, Admitted)

    async def test_a_late_receipt_of_a_forgiven_session_does_not_seat_it(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        await home.terminate("tv")
        await self._forgive(home, "tv")
        await home.late(lease, 1)
        assert await home.sitting() == []

    async def test_its_grant_works_again_and_one_that_was_ended_does_not(self, home: StoreDriver) -> None:
        grant, other = await home.open("tv"), await home.open("phone")
        await home.end("phone")
        await home.terminate("tv")
        await self._forgive(home, None)
        assert not await home.is_dead("tv", grant)
        assert await home.is_dead("phone", other)

    async def test_one_is_forgiven_or_all_of_the_user(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        await home.terminate(None)
        assert await self._forgive(home, "nobody") == 0
        assert await self._forgive(home, "b") == 1
        assert (await home.refused("a")).code == "session-terminated"
        await home.watch("b")
        assert await self._forgive(home, None) == 2
        await home.watch_all("a", "c")

    async def test_whom_a_newcomer_replaced_may_be_let_back_in_and_has_no_seat_by_that(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        await home.watch("d", replace="a")
        await self._forgive(home, "a")
        assert (await home.refused("a")).code == "session-limit"

    async def test_forgiving_again_and_again_piles_nothing_up(self, home: StoreDriver) -> None:
        for number in range(4 * MARKS_KEPT):
            await home.watch(f"s{number}")
            await home.terminate(f"s{number}")
            if number % MARKS_KEPT == MARKS_KEPT - 1:
                assert await self._forgive(home, None) == MARKS_KEPT
        await home.watch("s0")
        home.later(N * X)
        await home.sweep()
        assert await home.sitting() == []

    @opened_with(subscribed=ALL_TYPES)
    async def test_of_a_forgotten_user_nothing_counts_any_more(self, home: StoreDriver) -> None:
        await home.limit_to(5, note="a ticket")
        await home.watch_all(*"abcd")
        await home.terminate("d")
        before = await home.pending()
        events = await resolved(home.store.forget(home.user))
        assert [(e.session.session_id, e.type, e.by, e.reason) for e in events] == [
            (session, "session.ended", "operator", "forgotten") for session in "abc"
        ]
        assert (await home.pending()) - before == 3
        assert await home.sitting() == []
        assert await home.own_limit() is None
        assert home.user not in [own.user_id for own in await all_limits(home.store)]
        assert types(await resolved(home.store.forget(home.user))) == []
        assert (await home.lease("d")).generation >= home.now
        assert (await home.roster()).limit == 3

    async def test_grants_and_receipts_of_before_seat_a_forgotten_user_no_more(self, home: StoreDriver) -> None:
        lease, grant = await home.watch("tv"), await home.open("phone")
        old = await home.open("old")
        await home.end("old", keep_grant=True)
        await resolved(home.store.forget(home.user))
        await home.late(lease, 1)
        for session, generation in (("phone", grant), ("old", old), ("never sat", home.now)):
            assert await home.is_dead(session, generation)
        assert await home.sitting() == []
        new = await home.open("phone")
        assert not await home.is_dead("phone", new)

    async def test_a_user_nobody_knows_is_forgotten_too(self, home: StoreDriver) -> None:
        assert await resolved(home.store.forget(home.user)) == ()
        await home.watch("tv")

    async def _ask(self, home: StoreDriver, way: str) -> object:
        return await home.ask("tv", purpose=Purpose.CHECK if way == "check" else Purpose.LEASE)

    async def _forgive(self, home: StoreDriver, session: str | None) -> int:
        return await resolved(home.store.forgive(home.user, session))
