"""Refusals as events: at most once per session within n·X, and cheap."""

import time
from pathlib import Path

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Event, Refusal, Session, State
from streamlimit.store.sqlite import SqliteOutbox, SqliteStore
from streamlimit.webhooks.refusals import SESSIONS_TOLD, USERS_REMEMBERED, Refusals
from tests.store.household import QUICK

QUIET_MS = 3_000
FULL = Refusal("session-limit", 3, 3)


class Told:
    """An outbox that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Session] = []
        self.is_away = False
        self.now = 0.0

    def refused(self, session: Session, reason: str, quiet_ms: int) -> Event | None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.told.append(session)
        return Event("session.refused", session, 1, reason)


def refusals(told: Told, heard: list[Event] | None = None) -> Refusals:
    announce = (lambda event: None) if heard is None else heard.append
    return Refusals(told, QUIET_MS, announce, lambda: told.now)  # type: ignore[arg-type]


def test_a_hammering_player_makes_one_event_in_its_time() -> None:
    told, heard = Told(), list[Event]()
    refuse = refusals(told, heard)
    for _ in range(1_000):
        refuse(Ask("alice", "tv", "news", device="d1"), FULL)
    assert [(s.user_id, s.session_id, s.stream_id, s.device) for s in told.told] == [("alice", "tv", "news", "d1")]
    assert len(heard) == 1
    told.now = 2.999
    refuse(Ask("alice", "tv", "news"), FULL)
    refuse(Ask("alice", "phone", "news"), FULL)
    refuse(Ask("bob", "tv", "news"), FULL)
    assert len(told.told) == 3
    told.now = 3.0
    refuse(Ask("alice", "tv", "news"), FULL)
    assert len(told.told) == 4


def test_made_up_session_ids_make_no_flood() -> None:
    told = Told()
    refuse = refusals(told)
    for k in range(1_000):
        refuse(Ask("alice", f"s{k}", "news"), FULL)
    assert (len(told.told), refuse.untold) == (SESSIONS_TOLD, 1_000 - SESSIONS_TOLD)


def test_what_it_remembers_is_bounded() -> None:
    told = Told()
    refuse = refusals(told)
    for k in range(USERS_REMEMBERED + 10):
        refuse(Ask(f"user-{k}", "tv", "news"), FULL)
    assert len(refuse._told) == USERS_REMEMBERED


def test_a_store_that_is_away_hurts_nobody() -> None:
    told = Told()
    told.is_away = True
    refuse = refusals(told)
    refuse(Ask("alice", "tv", "news"), FULL)
    assert refuse.untold == 1


def test_a_repeated_refusal_costs_next_to_nothing() -> None:
    refuse, ask = refusals(Told()), Ask("alice", "tv", "news")
    began = time.perf_counter()
    for _ in range(10_000):
        refuse(ask, FULL)
    assert time.perf_counter() - began < 0.5  # 50 µs each; some 2 in fact


def test_a_shared_session_is_told_as_it_sits(tmp_path: Path) -> None:
    path = str(tmp_path / "streamlimit.db")
    store, outbox = SqliteStore(path, QUICK), SqliteOutbox(path, {"hook": ["session.refused"]})
    answer = store.admit(Ask("alice", "tv", "news", lease_id="lease"))
    assert isinstance(answer, Admitted)
    sitting = store.sessions("alice").sessions
    heard = list[Event]()
    Refusals(outbox, QUIET_MS, heard.append)(Ask("alice", "tv", "film"), Refusal("session-shared", 3, 1, sitting))
    assert [(e.reason, e.session.generation, e.session.state) for e in heard] == [
        ("session-shared", sitting[0].generation, State.STARTING)
    ]
