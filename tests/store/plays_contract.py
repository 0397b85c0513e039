"""Players of one session as promises of every store (rule 8): part of contract.py. Times are those of X = 6 s."""

from itertools import permutations

import pytest

from streamlimit.model import Admitted, Confirmed, Gone, Purpose, Receipt, Refusal, State
from streamlimit.policy import Policy
from streamlimit.store.contract import resolved
from tests.store.store_driver import N, StoreDriver, X, opened_with

SIX = 6_000
AT_SIX = Policy(segment_ms=SIX, missed_segments=N, start_ms=SIX)
AT_SIX_UNGUARDED = Policy(segment_ms=SIX, missed_segments=N, start_ms=SIX, max_returns=0)
DRY = Policy(segment_ms=SIX, missed_segments=N, start_ms=SIX, enforce=False)
PATIENT = Policy(segment_ms=X, missed_segments=6, start_ms=X)
"""Expires late, so that several segments pass within n·X."""


class Plays:
    """Rule 8: of several players of one playback URL exactly one goes on, and one viewer is never refused."""

    @opened_with(AT_SIX)
    async def test_of_three_players_on_one_url_one_goes_on_however_the_others_retry(self, home: StoreDriver) -> None:
        """Each fetches a segment each X, and, refused, tries again and again."""
        received = dict.fromkeys((1, 2, 3), 0)
        for _ in range(40):
            for play in received:
                answer = await home.ask("tv", sequence=5, play=play)
                if isinstance(answer, Admitted) and answer.lease is not None:
                    await home.received(answer.lease, 5)
                    received[play] += 1
                    continue
                for _ in range(5):
                    assert (await home.refused("tv", sequence=5, play=play)).code == "session-shared"
            home.later(SIX)
        assert sorted(received.values()) == [1, 1, 40]

    @opened_with(AT_SIX)
    @pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
    async def test_whoever_begins_first_the_youngest_play_stays(
        self, home: StoreDriver, order: tuple[int, ...]
    ) -> None:
        for _ in range(8):
            for play in order:
                answer = await home.ask("tv", play=play)
                if isinstance(answer, Admitted) and answer.lease is not None:
                    await home.received(answer.lease, 5)
            home.later(SIX)
        assert (await home.session("tv")).play == 3
        for play in (1, 2):
            assert (await home.refused("tv", play=play)).code == "session-shared"

    @opened_with(AT_SIX)
    async def test_the_lock_is_not_worn_out_by_refusals_nor_by_time(self, home: StoreDriver) -> None:
        await self._locked(home)
        for _ in range(50):
            await home.refused("tv", play=1)
            await home.watch("tv", sequence=5, play=9)
            home.later(SIX)
        assert (await home.refused("tv", play=1)).code == "session-shared"

    @opened_with(AT_SIX)
    async def test_an_older_play_comes_back_once_the_other_received_nothing_for_two_segments(
        self, home: StoreDriver
    ) -> None:
        await self._locked(home)
        home.later(2 * SIX - 1)
        await home.refused("tv", play=1)
        assert (await home.refused("tv", play=0)).code == "session-shared"
        home.later(1)
        await home.watch("tv", sequence=5, play=1)
        assert (await home.session("tv")).play == 1

    @opened_with(AT_SIX)
    async def test_a_reload_is_never_refused(self, home: StoreDriver) -> None:
        for play in range(1, 40):
            await home.watch("tv", sequence=play % 3, play=play)
            home.later(500)

    @opened_with(AT_SIX)
    async def test_a_hand_over_to_another_screen_and_its_addresses_is_never_refused(self, home: StoreDriver) -> None:
        for play in range(1, 12):
            for k in range(3):
                await home.watch("tv", sequence=play + k, play=play, client=f"screen-{play % 2}")
            home.later(SIX)

    @opened_with(AT_SIX)
    async def test_who_asks_for_a_playback_url_again_is_no_player_yet(self, home: StoreDriver) -> None:
        await self._locked(home)
        assert isinstance(await home.ask("tv", purpose=Purpose.SEAT), Admitted)
        assert isinstance(await home.ask("tv", purpose=Purpose.CHECK, play=10), Admitted)
        assert isinstance(await home.ask("tv", purpose=Purpose.CHECK, play=1), Refusal)
        assert (await home.session("tv")).play == 9
        assert (await home.refused("tv", play=1)).code == "session-shared", "and the lock holds"

    @opened_with(AT_SIX)
    @pytest.mark.parametrize("stream", ["news", "film"])
    @pytest.mark.parametrize("play", [0, 1])
    @pytest.mark.parametrize(("segment", "sequence"), [("6.m4s", 6), ("live.m4s", None), (None, 6)])
    async def test_what_was_under_way_at_a_hand_over_does_not_take_it_back(
        self, home: StoreDriver, stream: str, play: int, segment: str | None, sequence: int | None
    ) -> None:
        await home.watch("tv", sequence=5, play=play)
        old = await home.lease("tv", stream, sequence=6, play=play)
        home.later(10)
        await home.watch("tv", sequence=5, play=2)
        late = await resolved(home.store.confirm(Receipt(old, segment, sequence)))
        assert isinstance(late, Confirmed)
        assert late.events == ()
        seen = await home.session("tv")
        assert (seen.play, seen.stream_id, seen.segment, seen.sequence) == (2, "news", "video-5.m4s", 5)

    @opened_with(AT_SIX)
    async def test_a_player_that_fetches_the_entry_twice_is_one_viewer(self, home: StoreDriver) -> None:
        for k in range(20):  # it uses the second play; the first never receives anything
            await home.watch("tv", sequence=k, play=2)
            await home.watch("tv", sequence=k, play=2, kind="audio")
            home.later(SIX)

    @opened_with(AT_SIX)
    async def test_urls_without_a_play_are_one_play(self, home: StoreDriver) -> None:
        for k in range(20):
            await home.watch("tv", sequence=k)
            home.later(SIX)
        await self._locked(home)
        assert (await home.refused("tv", sequence=5)).code == "session-shared"

    @opened_with(AT_SIX)
    @pytest.mark.parametrize(
        ("segment", "sequence", "begins"),
        [("live.m4s", None, True), (None, 5, True), (None, None, False)],
        ids=["media without a number", "a place without a name", "a heartbeat"],
    )
    async def test_what_was_received_without_a_play_is_a_play_that_begins(
        self, home: StoreDriver, segment: str | None, sequence: int | None, begins: bool
    ) -> None:
        await resolved(home.store.confirm(Receipt(await home.lease("tv"), segment, sequence)))
        for play in (5, 9):
            await home.watch("tv", sequence=5, play=play)
        assert isinstance(await home.ask("tv", sequence=5, play=5), Refusal) == begins

    @opened_with(AT_SIX)
    async def test_a_heartbeat_without_a_play_is_of_whichever_plays(self, home: StoreDriver) -> None:
        await home.beaten("tv")
        for k in range(12):
            await home.watch("tv", sequence=k, play=7)
            await home.beaten("tv")
            await home.received(await home.lease("tv", play=7, lease_id=""))
            home.later(SIX)
        assert (await home.session("tv")).play == 7
        await self._locked(home)
        await home.beaten("tv")
        await home.watch("pad")
        await home.end("pad")  # whose mark has the beats of all others be admitted and received one by one
        await home.beaten("tv")
        assert isinstance(await home.ask("tv", lease_id=""), Admitted)
        assert (await home.session("tv")).play == 9

    @opened_with(AT_SIX)
    async def test_heartbeats_by_several_plays_are_several_players(self, home: StoreDriver) -> None:
        for play in (1, 9, 1, 9):
            await home.beaten("tv", play=play)
        assert isinstance(refusal := await home.beat("tv", play=1), Refusal)
        assert refusal.code == "session-shared"
        await home.beaten("tv", play=9)

    @opened_with(AT_SIX_UNGUARDED)
    async def test_zero_returns_turns_the_guard_of_plays_off(self, home: StoreDriver) -> None:
        for k in range(20):
            await home.watch("tv", sequence=5, play=1 + k % 3)
            await home.beaten("tv", play=1 + k % 3)
        assert (await home.session("tv")).play == 0

    @opened_with(AT_SIX)
    async def test_plays_of_the_largest_numbers_are_told_apart(self, home: StoreDriver) -> None:
        top = (1 << 64) - 1
        for play in (top - 1, top, top - 1):
            await home.watch("tv", sequence=5, play=play)
        await home.watch("tv", sequence=5, play=top)
        assert (await home.refused("tv", play=top - 1)).code == "session-shared"
        assert (await home.session("tv")).play == top

    @opened_with(AT_SIX)
    async def test_a_download_whose_player_was_left_behind_is_not_prolonged(self, home: StoreDriver) -> None:
        await home.watch("tv", "news", sequence=5)
        old = await home.lease("tv", "news", sequence=6)
        assert await home.prolong(old) is None
        await home.watch("tv", "film", sequence=0)
        gone = await home.prolong(old)
        assert isinstance(gone, Gone)
        assert gone.state is State.ACTIVE
        assert await home.prolong(await home.lease("tv", "film")) is None
        await home.watch("tv", "film", sequence=5, play=1)
        shared = await home.lease("tv", "film", sequence=6, play=1)
        await self._locked(home, "film")
        assert isinstance(gone := await home.prolong(shared), Gone)
        assert gone.state is State.ACTIVE

    @opened_with(DRY)
    async def test_a_dry_run_cuts_no_download(self, home: StoreDriver) -> None:
        await home.watch("tv", "news", sequence=5)
        old = await home.lease("tv", "news", sequence=6)
        await home.watch("tv", "film", sequence=0)
        assert await home.prolong(old) is None
        await self._locked(home, "film")
        assert await home.prolong(await home.lease("tv", "film", sequence=6, play=1)) is None

    @opened_with(PATIENT)
    async def test_one_seek_of_sound_and_picture_is_one_repeat(self, home: StoreDriver) -> None:
        for kind in ("video", "audio", "text"):
            await home.watch("phone", sequence=50, client="wifi", kind=kind)
        for k in range(3, 20):
            for kind in ("video", "audio", "text"):
                await home.watch("phone", sequence=k, client="mobile", kind=kind)

    @opened_with(PATIENT)
    async def test_kinds_of_sharing_are_counted_apart(self, home: StoreDriver) -> None:
        for stream in ("news", "film", "news", "film"):
            await home.watch("tv", stream, sequence=9, client="home")
        for k in (5, 6):
            await home.watch("tv", "film", sequence=k, client="office")
            await home.watch("tv", "film", sequence=k + 8, client="home")
        assert (await home.refused("tv", "film", sequence=5, client="office")).code == "session-shared"

    @opened_with(PATIENT)
    @pytest.mark.parametrize("ring", [3, 4, 8])
    async def test_only_the_two_streams_left_last_are_ping_pong(self, home: StoreDriver, ring: int) -> None:
        answers = [await self._zapped(home, f"channel-{k % ring}") for k in range(24)]
        assert all(answers) == (ring > 3)

    async def _zapped(self, home: StoreDriver, stream: str) -> bool:
        answer = await home.ask("tv", stream)
        if isinstance(answer, Admitted) and answer.lease is not None:
            await home.received(answer.lease, 0)
        home.later(X // 4)
        return isinstance(answer, Admitted)

    async def _locked(self, home: StoreDriver, stream: str = "news") -> None:
        """The session is locked to play 9; 1 played before it, and who else did has had its turn."""
        for play in (1, 9, 1, 9):
            answer = await home.ask("tv", stream, sequence=5, play=play)
            if isinstance(answer, Admitted) and answer.lease is not None:
                await home.received(answer.lease, 5)
        assert (await home.session("tv")).play == 9
