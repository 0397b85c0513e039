"""The outbox on SQLite: events are sorted into one queue per endpoint and user, and delivered from there.

A claim sorts, so that a state change writes one row, however many endpoints there are. A claim is a due time in the
future with a ticket: after that time the delivery may be claimed again.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from streamlimit.model import Event, Session
from streamlimit.policy import OUTBOX_MAX_EVENTS
from streamlimit.store.contract import Clock
from streamlimit.store.outbox import Backlog, DeadLetter, Delivery
from streamlimit.store.sqlite.connection import LOCK_WAIT_SECONDS, Connection
from streamlimit.store.sqlite.intake import put, take_unkept
from streamlimit.store.sqlite.own_connection import OwnConnection

SORTED_AT_ONCE = 200
"""Events that one claim sorts; a few milliseconds at most."""

REFUSED = "session.refused"

_decode = msgspec.json.Decoder(Event).decode


class SqliteOutbox(OwnConnection):
    """An `Outbox` on the file at *path*. *subscriptions*: the event types that each endpoint wants.

    Each endpoint's queues hold *max_events* together, and as many dead deliveries. *clock* as in `SqliteStore`.
    *patience_seconds*: how long a step blocks while another process holds the lock.
    """

    def __init__(
        self,
        path: str,
        subscriptions: Mapping[str, Collection[str]],
        max_events: int = OUTBOX_MAX_EVENTS,
        clock: Clock | None = None,
        patience_seconds: float = LOCK_WAIT_SECONDS,
    ) -> None:
        super().__init__(path, patience_seconds, clock)
        self._subscriptions, self._max_events = subscriptions, max_events
        self._put_endpoints()

    def refused(self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None) -> Event | None:
        with self._step() as db:
            now_ms = self._now_ms()
            db.run("forget_refusals", now_ms)
            key = (session.user_id, session.session_id)
            if not db.run("put_refusal", *key, now_ms + quiet_ms, now_ms).rowcount:
                return None
            event = Event(REFUSED, session, now_ms, reason, None, live_sessions)
            put(db, [event], self._max_events)
            return event

    def claim(
        self, endpoint: str, ticket: str, at_most: int, lease_ms: int, users: Collection[str] | None = None
    ) -> tuple[Delivery, ...]:
        """As `Outbox.claim`; *users* is ignored, for looking everywhere is as fast."""
        [(waits,)] = self._find("waits", endpoint, self._now_ms())
        if not waits:  # by far the most frequent; checked without a lock
            return ()
        with self._step() as db:
            now_ms = self._now_ms()
            self._sort(db, now_ms)
            due = db.run("due_queues", endpoint, now_ms, at_most).fetchall()
            taken = [self._take(db, endpoint, user_id, ticket, now_ms, lease_ms) for (user_id,) in due]
        return tuple(delivery for delivery in taken if delivery is not None)

    def settle(self, delivery: Delivery, lease_ms: int) -> Delivery | None:
        with self._held(delivery) as (db, now_ms):
            if db is None:
                return None
            self._remove(db, delivery, now_ms)
            user_id = delivery.event.session.user_id
            return self._take(db, delivery.endpoint, user_id, delivery.ticket, now_ms, lease_ms)

    def retry_later(self, delivery: Delivery, wait_ms: int, problem: str) -> None:
        with self._held(delivery) as (db, now_ms):
            if db is not None:
                db.run("retry_queue", now_ms + wait_ms, problem, *_queue(delivery))

    def release(self, delivery: Delivery) -> None:
        with self._held(delivery) as (db, now_ms):
            if db is not None:
                db.run("release_queue", now_ms, *_queue(delivery))

    def give_up(self, delivery: Delivery, problem: str) -> None:
        with self._held(delivery) as (db, now_ms):
            if db is not None:
                db.run("bury", now_ms, problem, *_queue(delivery), delivery.number)
                db.run("more_dead", 1, delivery.endpoint)
                self._remove(db, delivery, now_ms)
                self._bound_the_dead(db, delivery.endpoint)

    def disable(self, endpoint: str, problem: str) -> bool:
        with self._step() as db:
            return db.run("disable", problem, endpoint).rowcount > 0

    def replay(self, endpoint: str, at_most: int) -> int:
        with self._step() as db:
            now_ms = self._now_ms()
            db.run("enable", endpoint)
            dead = db.run("oldest_dead", endpoint, at_most).fetchall()
            for number, user_id, body in dead:
                db.run("put_letter", endpoint, user_id, number, now_ms, body)
                db.run("put_queue", endpoint, user_id, now_ms)
                db.run("hurry_queue", now_ms, endpoint, user_id)
                db.run("remove_dead", endpoint, number)
            db.run("put_back_room", len(dead), endpoint)
        return len(dead)

    def backlog(self) -> tuple[Backlog, ...]:
        with self._step() as db:
            self._sort(db, self._now_ms())
            found = {row[0]: Backlog(*row) for row in db.run("backlog")}
        named = [found.pop(endpoint, Backlog(endpoint)) for endpoint in self._subscriptions]
        return (*named, *found.values())

    def dropped(self) -> dict[str, int]:
        found: dict[str, int] = dict(self._find("dropped"))
        return {endpoint: found.get(endpoint, 0) for endpoint in self._subscriptions}

    def dead_letters(self, endpoint: str, at_most: int) -> tuple[DeadLetter, ...]:
        rows = self._find("youngest_dead", endpoint, at_most)
        return tuple(DeadLetter(endpoint, number, _decode(body), problem, at) for number, body, problem, at in rows)

    def retain(self, at_most: int) -> bool:
        with self._step() as db:
            known = [row[0] for row in db.run("backlog")]
            for endpoint in known:
                if endpoint not in self._subscriptions:
                    return self._forget(db, endpoint, at_most)
        return False

    def _put_endpoints(self) -> None:
        """Adds missing endpoints. Nothing is written where all are stored: a file on a full disk can still be read."""
        known = {endpoint for endpoint, _ in self._find("dropped")}
        if new := [(endpoint,) for endpoint in self._subscriptions if endpoint not in known]:
            with self._step() as db:
                db.run_each("put_endpoint", new)

    def _sort(self, db: Connection, now_ms: int) -> None:
        """Sorts events into deliveries to each endpoint that is subscribed and has room."""
        rows = db.run("unsorted", SORTED_AT_ONCE).fetchall()
        if not rows:
            return
        unkept = take_unkept(db)
        for endpoint, types in self._subscriptions.items():
            dropped = sum(count for kind, count in unkept.items() if kind in types)
            for number, user_id, kind, body in rows:
                if kind not in types:
                    continue
                if not db.run("take_room", endpoint, self._max_events).rowcount:
                    dropped += 1
                    continue
                db.run("put_letter", endpoint, user_id, number, now_ms, body)
                db.run("put_queue", endpoint, user_id, now_ms)
            if dropped:
                db.run("count_dropped", dropped, endpoint)
        db.run("sorted", rows[-1][0])

    def _take(
        self, db: Connection, endpoint: str, user_id: str, ticket: str, now_ms: int, lease_ms: int
    ) -> Delivery | None:
        row = db.run("next_letter", endpoint, user_id).fetchone()
        if row is None:
            return None
        number, since_ms, body, attempts = row
        db.run("take_queue", now_ms + lease_ms, ticket, endpoint, user_id)
        return Delivery(endpoint, number, _decode(body), ticket, attempts, now_ms - since_ms)

    def _remove(self, db: Connection, delivery: Delivery, now_ms: int) -> None:
        """Removes the delivery from its queue, and an empty queue with it."""
        db.run("remove_letter", *_queue(delivery), delivery.number)
        db.run("give_room", delivery.endpoint)
        if db.run("next_letter", *_queue(delivery)).fetchone() is None:
            db.run("remove_queue", *_queue(delivery))
        else:
            db.run("renew_queue", now_ms, None, *_queue(delivery))

    def _bound_the_dead(self, db: Connection, endpoint: str) -> None:
        oldest = db.run("too_many_dead", endpoint, self._max_events).fetchone()[0]
        if oldest is not None:
            db.run("remove_dead", endpoint, oldest)
            db.run("more_dead", -1, endpoint)
            db.run("count_dropped", 1, endpoint)

    def _forget(self, db: Connection, endpoint: str, at_most: int) -> bool:
        steps = ("forget_letters", "forget_queues", "forget_dead")
        gone = [db.run(step, endpoint, at_most).rowcount for step in steps]
        if max(gone) < at_most:
            db.run("forget_endpoint", endpoint)
        return True

    @contextmanager
    def _held(self, delivery: Delivery) -> Iterator[tuple[Connection | None, int]]:
        """A transaction for the holder of the delivery's ticket; yields no connection where it was claimed since."""
        with self._step() as db:
            key = (*_queue(delivery), delivery.ticket, delivery.number)
            held = db.run("holds", *key).fetchone() is not None
            yield (db if held else None), self._now_ms()


def _queue(delivery: Delivery) -> tuple[str, str]:
    return delivery.endpoint, delivery.event.session.user_id
