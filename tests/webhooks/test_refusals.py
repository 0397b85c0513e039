"""Refusals as events: at most once per session within n·X, and cheap."""

from collections import Counter
from pathlib import Path

import msgspec

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Event, Refusal, Session, State
from streamlimit.store.sqlite import SqliteOutbox, SqliteStore
from streamlimit.tally import RefusedUsers
from streamlimit.webhooks.endpoint import payload
from streamlimit.webhooks.refusals import SESSIONS_ANNOUNCED, USERS_REMEMBERED, Refusals
from tests.store.store_driver import QUICK

QUIET_MS = 3_000
FULL = Refusal("session-limit", 3, 3)


class Told:
    """An outbox that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Session] = []
        self.is_away = False
        self.now = 0.0

    def refused(self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None) -> Event | None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.told.append(session)
        return Event("session.refused", session, 1, reason, None, live_sessions)


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


def test_an_event_says_what_was_true_when_the_session_was_refused() -> None:
    told, heard = Told(), list[Event]()
    refuse = refusals(told, heard)
    refuse(Ask("alice", "tv", "news", plan="basic", limit=2), Refusal("session-limit", 2, 4))
    seated = Session("pad", "alice", "news", State.ACTIVE, None, None, None, 1, 1, 9, 1, 0, "gone", 1)
    refuse(Ask("alice", "pad", "news", plan="basic"), Refusal("session-shared", 2, 4, (seated,)))
    for event in heard:
        assert (event.session.plan, event.session.limit, event.live_sessions) == ("basic", 2, 4)
        data = msgspec.json.decode(payload(event))["data"]
        assert (data["plan"], data["limit"], data["live_sessions"]) == ("basic", 2, 4)
        assert (data["session"]["plan"], data["session"]["limit"]) == ("basic", 2)


def test_a_refused_user_is_counted_once_in_its_time_by_a_plan_that_there_is() -> None:
    counts, time_now = Counter[str](), [0.0]
    count = RefusedUsers(counts, {"basic"}.__contains__, 3.0, lambda: time_now[0])
    for _ in range(1_000):
        count(Ask("alice", "tv", "news", plan="basic"), FULL)
        count(Ask("alice", "pad", "news", plan="made up"), FULL)
    for number in range(100):
        count(Ask(f"u{number}", "tv", "news", plan=f"made up {number}"), FULL)
    count(Ask("bob", "tv", "news"), Refusal("too-many-visits", 3, 0))
    count(Ask("eve", "tv", "news"), Refusal("grant-ended", 3, 0))
    assert counts == {"basic": 1, "other": 100, "none": 1}
    time_now[0] = 3.0
    count(Ask("alice", "tv", "news", plan="basic"), FULL)
    assert counts["basic"] == 2


def test_made_up_session_ids_make_no_flood() -> None:
    told = Told()
    refuse = refusals(told)
    for k in range(1_000):
        refuse(Ask("alice", f"s{k}", "news"), FULL)
    assert len(told.told) == SESSIONS_ANNOUNCED


def test_what_it_remembers_is_bounded() -> None:
    told = Told()
    refuse = refusals(told)
    for k in range(USERS_REMEMBERED + 10):
        refuse(Ask(f"user-{k}", "tv", "news"), FULL)
    told.told.clear()
    refuse(Ask(f"user-{USERS_REMEMBERED + 9}", "tv", "news"), FULL)
    assert told.told == [], "who came last is remembered"
    refuse(Ask("user-0", "tv", "news"), FULL)
    assert len(told.told) == 1, "who came first is not"


def test_a_store_that_is_away_hurts_nobody() -> None:
    told = Told()
    told.is_away = True
    refuse = refusals(told)
    refuse(Ask("alice", "tv", "news"), FULL)
    assert told.told == []


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
