"""Limits of users' own as promises of every store: that end, with a note, listed. Part of contract.py."""

import pytest

from streamlimit.errors import BadCursor
from streamlimit.model import Admitted, OwnLimit, Terms
from streamlimit.store.contract import resolved
from tests.store.store_driver import N, StoreDriver, X, all_limits, new_user, sweep_all

HOUR = 3_600_000
LONG = 30 * 24 * HOUR
"""Longer than anything else is remembered."""


class OwnLimits:
    """A limit of a user's own holds for good, or until then: the next decision knows, swept or not."""

    async def test_a_limit_that_ends_counts_for_nothing_from_that_millisecond_on(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        await home.limit_to(1, lasts_ms=X)
        home.later(X - 1)
        assert (await home.refused("d")).limit == 1
        assert (await home.roster()).limit == 1
        home.later(1)
        assert (await home.refused("d")).limit == 3
        assert (await home.roster()).limit == 3
        assert await home.own_limit() is None

    async def test_a_limit_that_was_raised_for_a_while_lets_in_so_many_and_then_fewer(self, home: StoreDriver) -> None:
        await home.limit_to(5, lasts_ms=N * X)
        await home.watch_all(*"abcde")
        home.later(N * X - 1)
        for session in "abcde":
            assert (await home.beaten(session)).limit == 5
        home.later(1)
        for session in "abcde":  # who sits goes on
            assert (await home.beaten(session)).limit == 3
        assert ((await home.refused("f")).limit, (await home.session("a")).limit) == (3, 3)

    @pytest.mark.parametrize("way", ["ask", "beat", "receipt", "late receipt"])
    async def test_every_way_in_sees_the_end(self, home: StoreDriver, way: str) -> None:
        lease = await home.watch("tv")
        await home.limit_to(1, lasts_ms=X)
        assert (await home.beaten("tv")).limit == 1
        home.later(N * X if way == "late receipt" else X)
        if way == "ask":
            seen = await home.ask("phone")
            assert isinstance(seen, Admitted)
        elif way == "beat":
            seen = await home.beaten("phone")
        else:
            seen = await home.received(lease, 1)
        assert seen.limit == 3

    async def test_a_limit_keeps_its_note_and_its_end_as_they_were_said(self, home: StoreDriver) -> None:
        terms = Terms(LONG, 1_900_000_000_123, "ticket 4711 ☂")
        await resolved(home.store.set_limit(home.user, 2, terms))
        home.later(HOUR)
        left = Terms(LONG - HOUR, 1_900_000_000_123, "ticket 4711 ☂")
        assert await resolved(home.store.own_limit(home.user)) == OwnLimit(home.user, 2, left)
        await home.watch("tv")
        assert (await home.session("tv")).limit == 2
        await home.limit_to(4)
        assert await resolved(home.store.own_limit(home.user)) == OwnLimit(home.user, 4, Terms())

    @pytest.mark.parametrize("has_sat", [True, False])
    async def test_a_limit_far_ahead_outlives_sweeps_and_is_no_reason_to_go_on_sweeping(
        self, home: StoreDriver, has_sat: bool
    ) -> None:
        await home.limit_to(1, lasts_ms=LONG)
        if has_sat:
            await home.watch("a")
        for _ in range(4):
            home.later(HOUR)
            await home.sweep()
            assert (
                not (await resolved(home.store.expire(100))).more or not (await resolved(home.store.expire(100))).more
            )
        await home.watch("a")
        assert (await home.refused("b")).limit == 1
        home.later(LONG)
        await home.watch_all("a", "b", "c")

    async def test_nothing_is_left_of_a_limit_that_ended(self, home: StoreDriver) -> None:
        await home.limit_to(2, lasts_ms=X, note="gone soon")
        home.later(X)
        await sweep_all(home.store)
        assert home.user not in [own.user_id for own in await all_limits(home.store)]
        home.clock.now_ms -= X  # as if it could come back
        assert await home.own_limit() is None

    async def test_all_limits_are_listed_once_page_by_page(self, home: StoreDriver) -> None:
        users = [new_user() for _ in range(9)]
        for number, user in enumerate(users):
            await resolved(home.store.set_limit(user, number + 1, Terms(note=f"no. {number}")))
        await resolved(home.store.set_limit(users[0], None))
        await resolved(home.store.set_limit(users[1], 7, Terms(X)))
        await home.watch("tv", user_id=users[2])
        await home.watch("tv")
        home.later(X)
        for at_most in (1, 4, 100):
            found = await all_limits(home.store, at_most)
            ours = {own.user_id: own for own in found if own.user_id in {*users, home.user}}
            assert len([own for own in found if own.user_id in users]) == len(ours) == 7
            assert ours == {u: OwnLimit(u, n + 1, Terms(note=f"no. {n}")) for n, u in enumerate(users) if n > 1}

    async def test_a_cursor_of_nobody_s_is_none(self, home: StoreDriver) -> None:
        try:
            await resolved(home.store.limits("neither shard nor user", 10))
        except BadCursor:
            pass  # or the users behind it, where any text is one
