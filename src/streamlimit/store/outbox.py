"""The contract of outboxes: events that wait for their delivery to endpoints. Each promise is one atomic step."""

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from streamlimit.model import Event, Session
from streamlimit.store.contract import Answer


class Delivery(Struct, frozen=True):
    """One event on its way to one endpoint. `number`: its id there; the holder of `ticket` may send it.

    `attempts`: how often sending failed. `waited_ms`: since it was put into the queue (or replayed).
    """

    endpoint: str
    number: int
    event: Event
    ticket: str
    attempts: int = 0
    waited_ms: int = 0


class DeadLetter(Struct, frozen=True):
    """A delivery that was given up at `at_ms`, and why."""

    endpoint: str
    number: int
    event: Event
    problem: str
    at_ms: int


class Backlog(Struct, frozen=True):
    """The state of one endpoint. `retrying`: users whose next delivery failed before; `problem`: one of the reasons.

    `dropped`: subscribed events that found no room, or the endpoint disabled. `disabled`: why; None: it is enabled.
    """

    endpoint: str
    pending: int = 0
    retrying: int = 0
    dead: int = 0
    dropped: int = 0
    problem: str | None = None
    disabled: str | None = None


class Outbox(Protocol):
    """The events that `Store` keeps for webhooks, as deliveries: each endpoint has queues of its own, one per user.

    A user's deliveries leave in the order of their events, one at a time; those of different users and endpoints do not
    wait for each other. A worker that *claims* a delivery holds it by a ticket for a time; after that any worker may
    claim it again, so a killed worker loses nothing, and a late call of the old holder changes nothing.
    An endpoint's queues are bounded together, and so are its dead letters; more are dropped, and counted.
    """

    def refused(
        self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None
    ) -> Answer[Event | None]:
        """Adds a refusal, dated by the store.

        None where the session's last is younger than *quiet_ms*, also in a race.
        """
        ...

    def claim(
        self, endpoint: str, ticket: str, at_most: int, lease_ms: int, users: Collection[str] | None = None
    ) -> Answer[tuple[Delivery, ...]]:
        """The next delivery of each of up to *at_most* users, longest due first; no other claim gets them for
        *lease_ms*.

        *users*: only theirs need be looked for. A user with a claimed delivery has no other to claim; in a race one
        caller gets it. Nothing for a disabled endpoint. *ticket* is new for each call.
        """
        ...

    def settle(self, delivery: Delivery, lease_ms: int) -> Answer[Delivery | None]:
        """Removes a delivery that arrived, and claims the user's next one by the same ticket. Twice: None."""
        ...

    def retry_later(self, delivery: Delivery, wait_ms: int, problem: str) -> Answer[None]:
        """Makes a failed delivery due again in *wait_ms*; it stays the user's next one. Twice is once."""
        ...

    def release(self, delivery: Delivery) -> Answer[None]:
        """Gives back a delivery that was not tried: it may be claimed now. Twice is once."""
        ...

    def give_up(self, delivery: Delivery, problem: str) -> Answer[None]:
        """Makes a delivery that failed for the last time a dead letter; the user's next one is due. Twice is once.

        Where there are too many dead letters the oldest is dropped.
        """
        ...

    def disable(self, endpoint: str, problem: str) -> Answer[bool]:
        """Disables the endpoint: its deliveries stay, new events are dropped. False: it was disabled already."""
        ...

    def replay(self, endpoint: str, at_most: int) -> Answer[int]:
        """Enables the endpoint, and puts up to *at_most* dead letters, the oldest first, back into its queues.

        There they come before younger ones of their user. Returns how many: 0 when none are left.
        """
        ...

    def backlog(self) -> Answer[tuple[Backlog, ...]]:
        """The state of every endpoint in the order of the settings; then those that the settings name no more."""
        ...

    def dropped(self) -> Answer[dict[str, int]]:
        """The number of events that each endpoint of the settings did not get, as `Backlog.dropped`."""
        ...

    def dead_letters(self, endpoint: str, at_most: int) -> Answer[tuple[DeadLetter, ...]]:
        """Up to *at_most* dead letters of the endpoint, the youngest first."""
        ...

    def retain(self, at_most: int) -> Answer[bool]:
        """Removes endpoints that the settings do not name, about *at_most* deliveries a call. True: more are left."""
        ...

    def close(self) -> Answer[None]:
        """Closes files and connections. Twice is once."""
        ...
