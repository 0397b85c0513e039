"""The session cache of a worker, and its queue of receipts in an outage."""

import gc
import tracemalloc
from itertools import pairwise
from uuid import uuid4

import pytest

from streamlimit.cache import SessionCache, entry
from streamlimit.cache.entry import SHARDS, SHARDS_A_LOOK, USERS_A_LOOK
from streamlimit.cache.session_cache import date_ms, exchange_bounds, narrowed
from streamlimit.cache.tombstones import DEPARTED_AT_MOST, FORGOTTEN_AT_MOST, Tombstones
from streamlimit.cache.write_behind import WriteBehindQueue
from streamlimit.model import Ask, Confirmed, Lease, Receipt, Session, State
from streamlimit.policy import Policy

X, N = 1_000, 3
POLICY = Policy(max_sessions=3, segment_ms=X, missed_segments=N, start_ms=X)


def test_a_buffer_the_store_knows_of_prolongs_what_the_worker_grants() -> None:
    cache = SessionCache(POLICY)
    cache.learn_confirmation(_receipt("tv"), Confirmed(_session("tv", expires_in=5 * X), 3, 1), 10.0)
    ask = Ask("u", "tv", "a")
    assert cache.recall(ask, 14.9) is not None
    assert cache.recall(ask, 15.0) is None


def test_what_a_worker_keeps_by_the_thousand_need_not_be_walked_by_the_collector() -> None:
    ask = Ask("u", "tv", "a")
    for kept in (ask, _receipt("tv"), _receipt("tv").lease, _session("tv")):
        assert not gc.is_tracked(kept)


def test_kept_receipts_are_bounded_and_the_newest_of_a_session_stays() -> None:
    kept = WriteBehindQueue(at_most=2)
    receipts = [_receipt(f"s{n}") for n in range(3)]
    for at, receipt in enumerate(receipts):
        kept.keep(receipt, float(at))
    kept.keep(_receipt("s2"), 1.0)  # an older one, whose failure was heard of late
    assert [each.receipt for each in kept.next(10)] == receipts[1:]
    assert (kept.dropped, len(kept), kept.has_of("u")) == (1, 2, True)
    kept.settled(receipts[2].lease, 1.5)
    assert len(kept) == 2
    kept.settled(receipts[2].lease, 2.0)
    kept.drop("u", "s1")
    assert (len(kept), kept.has_of("u")) == (0, False)


def test_what_may_not_sit_any_more_is_forgotten() -> None:
    cache = SessionCache(POLICY)
    for at, session in enumerate(("tv", "phone", "pad")):
        cache.learn_confirmation(_receipt(session), Confirmed(_session(session), 3, 1), float(at))
    _look_at_all(cache, 4.5)
    assert cache.sessions_of("u") == ["pad"]
    _look_at_all(cache, 10.0)
    assert (len(cache), cache.sessions_of("u")) == (0, [])


def test_one_look_is_short_and_a_round_finds_all() -> None:
    users = 2 * SHARDS
    cache = SessionCache(POLICY)
    for number in range(users):
        _teach(cache, f"user-{number}", "tv", "segment", 0)
    known = [users]
    while known[-1] and len(known) < SHARDS:
        cache.forget_old(10.0)
        known.append(len(cache))
    assert known[-1] == 0
    assert max(before - after for before, after in pairwise(known)) == USERS_A_LOOK


def test_a_shard_that_holds_many_is_looked_through_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "SHARDS", 1)
    cache, users = SessionCache(POLICY), 3 * USERS_A_LOOK
    for number in range(users):
        _teach(cache, f"user-{number}", "tv", "segment", 0 if number == users - 1 else 100)
    for _ in range(users // USERS_A_LOOK):
        cache.forget_old(50.0)
    assert len(cache) == users - 1


def test_who_departed_is_remembered_for_a_while_and_until_it_comes_back() -> None:
    tombstones, (box, tv) = Tombstones(seconds=3), (Ask("u", "box", "a"), Ask("u", "tv", "a"))
    for at, ask in enumerate((box, tv)):
        tombstones.add(ask.user_id, ask.session_id, float(at))
    tombstones.forget_old(3.0)
    assert (tombstones.has(box), tombstones.has(tv)) == (False, True)
    assert not tombstones.is_back(tv, asked_at=0.5), "it left after the store was asked"
    assert tombstones.has(tv)
    assert tombstones.is_back(tv, asked_at=1.0)
    assert not tombstones.has(tv)
    for number in range(DEPARTED_AT_MOST + 5):
        tombstones.add("u", str(number), 5.0)
    assert len(tombstones) == DEPARTED_AT_MOST
    tombstones.forget_old(8.0)
    assert len(tombstones) == DEPARTED_AT_MOST - FORGOTTEN_AT_MOST, "not all at once"


def test_an_older_answer_teaches_nothing() -> None:
    cache, ask = SessionCache(POLICY), Ask("u", "tv", "a")
    for at, limit in ((2.0, 3), (1.0, 5)):
        cache.learn_confirmation(_receipt("tv"), Confirmed(_session("tv"), limit, 1), at)
    known = cache.recall(ask, 2.5)
    assert known is not None
    assert (known.at, known.limit, known.session) == (2.0, 3, _session("tv"))
    assert known.session.last_activity_ms is not None
    idle = cache.recall(ask, 4.0)
    assert idle is not None
    assert idle.session.state is State.IDLE


def test_each_exchange_narrows_down_how_far_the_stores_clock_is_ahead() -> None:
    """The store's clock is 1,000 s ahead; the answer of one exchange was slow, and the question of another."""
    low, span, least_ms = narrowed(999_600, 501, 0, exchange_bounds(1_020_000, 19.6, 20.1))
    assert (low, low + span, least_ms) == (999_900, 1_000_101, 0)
    assert narrowed(low, span, least_ms, exchange_bounds(1_030_000, 29.0, 31.0)) == (low, span, 0), "nothing new"
    assert date_ms(20.0, low, span, least_ms) == 1_020_000


def test_where_the_guess_goes_back_nothing_is_dated_before_what_it_came_to() -> None:
    low, span, least_ms = narrowed(999_000, 3_000, 0, exchange_bounds(1_020_000, 20.0, 20.5))
    assert (low, low + span, least_ms) == (999_500, 1_000_001, 1_021_000)
    assert date_ms(20.6, low, span, least_ms) == 1_021_000
    assert date_ms(30.0, low, span, least_ms) == 1_029_750


def test_a_clock_that_was_set_is_believed() -> None:
    assert narrowed(999_500, 1_000, 0, exchange_bounds(520_000, 20.0, 20.5))[:2] == (499_500, 501)


def test_an_answer_that_tells_nothing_of_the_clock_leaves_what_is_known_of_it() -> None:
    cache, ask = SessionCache(POLICY), Ask("u", "tv", "a")
    cache.learn_confirmation(_receipt("tv"), Confirmed(_session("tv"), 3, 1), 2.0, 2.1)
    before = cache.recall(ask, 2.5)
    cache.learn_confirmation(_receipt("tv"), Confirmed(_session("tv"), 3, 1), 2.4)
    after = cache.recall(ask, 2.5)
    assert before is not None
    assert after is not None
    assert (after.low, after.span, after.least_ms, after.at) == (before.low, before.span, before.least_ms, 2.4)


@pytest.mark.parametrize("per_user", [1, 3])
def test_a_known_session_takes_no_more_than_400_bytes(per_user: int) -> None:
    segments = [f"segment-{number:05d}.m4s" for number in range(500)]
    gc.collect()
    tracemalloc.start()
    cache, before = SessionCache(POLICY), tracemalloc.get_traced_memory()[0]
    for number in range(12_000 // per_user):
        user = str(uuid4())
        for _ in range(per_user):
            _teach(cache, user, str(uuid4()), segments[number % 500], number)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown / len(cache) <= 400


def _look_at_all(cache: SessionCache, now: float) -> None:
    for _ in range(SHARDS // SHARDS_A_LOOK):
        cache.forget_old(now)


def _teach(cache: SessionCache, user: str, session: str, segment: str, number: int) -> None:
    now_ms = 1_790_000_000_000 + 7 * number
    ask = Ask(user, session, "-".join(("channel", "7")), client="a1b2c3d4")
    times = now_ms, now_ms + 5, now_ms + 5 + N * X, now_ms, 0
    shown = Session(session, user, ask.stream_id, State.ACTIVE, None, segment, number % 500, *times)
    cache.learn_confirmation(Receipt(Lease(ask, now_ms, 0, now_ms), segment), Confirmed(shown, 3, 1), float(number))


def _receipt(session: str) -> Receipt:
    return Receipt(Lease(Ask("u", session, "a"), 1, 0))


def _session(session: str, expires_in: int = N * X) -> Session:
    return Session(session, "u", "a", State.ACTIVE, None, "seg-1", 1, 1, 500, 500 + expires_in, 1, 0, "family", 3)
