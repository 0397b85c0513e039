"""The values of the service: sessions, states, decisions, events. Reads no clock, no socket, no setting.

All times are integer milliseconds of the store's clock (Unix epoch); all ids are the client's own strings. `gc=False`:
made of values alone, so never part of a cycle; a worker keeps many, and the collector need not walk them.
"""

from enum import StrEnum
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct


class State(StrEnum):
    """The state of a session (rule 6). The last four are final."""

    STARTING = "starting"
    ACTIVE = "active"
    IDLE = "idle"
    EXPIRED = "expired"
    ENDED = "ended"
    TERMINATED = "terminated"
    ABANDONED = "abandoned"


Label = Annotated[str, Meta(min_length=1, max_length=128)]


class Device(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A device, as the viewer names it. A bare string in its place means its id."""

    id: Label | None = None
    name: Label | None = None
    type: Label | None = None


class Session(Struct, frozen=True, gc=False):
    """A session as it is shown: a value, true at the moment the store made it.

    `plan`, `limit`: those under which it was last admitted. `play`: as in `Ask`, the one that received last.
    """

    session_id: str
    user_id: str
    stream_id: str
    state: State
    device: str | Device | None
    segment: str | None
    sequence: int | None
    started_at_ms: int
    last_activity_ms: int | None
    expires_at_ms: int
    generation: int
    move: int
    plan: str | None = None
    limit: int | None = None
    play: int = 0


NO_MOVE = 0xFFFF_FFFF
"""The move number of a lease that is of no move of its session: its receipt is activity, and sets no position."""


class Purpose(StrEnum):
    """The purpose of a question: to be issued a segment, to hold a seat for one, or to read a playlist."""

    LEASE = "lease"
    SEAT = "seat"
    CHECK = "check"


class Ask(Struct, frozen=True, gc=False, omit_defaults=True):
    """A question to the store: may the session be issued a segment? `client`: a digest of its address.

    `may_start`: it may be given a new seat. `granted`: it has a grant that has not expired. `wants_next`: the segment
    depends on the session's position, for which the store has to be asked. `plan`: the name of the plan whose limit is
    `limit`; None: none is named. `grant_generation`: the generation of the seat that its grant was given for (None: no
    grant). `part`: the part of the segment `sequence`, with low latency. `play`: the player of the session: 63 bits,
    the microseconds of its making before random ones, so that a newer play is the larger number; 0: the URL names none,
    and all such are one play (rule 8).
    """

    user_id: str
    session_id: str
    stream_id: str
    purpose: Purpose = Purpose.LEASE
    lease_id: str = ""
    device: str | Device | None = None
    client: str = ""
    kind: str = "video"
    sequence: int | None = None
    replace: str | None = None
    limit: int | None = None
    may_start: bool = True
    granted: bool = False
    wants_next: bool = False
    grant_generation: int | None = None
    part: int = 0
    plan: str | None = None
    play: int = 0


class Lease(Struct, frozen=True, gc=False):
    """A lease: one admitted request while its segment is delivered, of one generation and move of the session.

    `admitted_ms` orders receipts of requests that overlapped: an earlier one does not move the position back.
    """

    ask: Ask
    generation: int
    move: int
    admitted_ms: int = 0


class Receipt(Struct, frozen=True, gc=False):
    """A receipt: the client has the segment. `play_ms`: its duration (0 where that must not count twice).

    `age_ms`: how long ago it was received, where the store could not be reached at once. `part`: as in `Ask`.
    `ends_ms`: the length of the stream whose last segment this is; 0: it is not the last one (rule 13).
    """

    lease: Lease
    segment: str | None = None
    sequence: int | None = None
    kind: str = "video"
    play_ms: int = 0
    age_ms: int = 0
    part: int = 0
    ends_ms: int = 0


class Event(Struct, frozen=True, gc=False):
    """One state change, or one refusal, of one session. `type` is the webhook's name.

    `live_sessions`: with a refusal, how many sessions the user had.
    """

    type: str
    session: Session
    at_ms: int
    reason: str = ""
    by: str | None = None
    live_sessions: int | None = None

    @property
    def id(self) -> str:
        """The event's id, the same for the same change, so that a receiver can drop a repeated event."""
        s = self.session
        which = self.at_ms if self.type == "session.refused" else s.move  # a session may be refused again and again
        text = f"{s.user_id}\n{s.session_id}\n{s.generation}\n{self.type}\n{which}"
        return "evt_" + sha256(text.encode()).hexdigest()[:32]


class Mark(Struct, omit_defaults=True):
    """The mark of a session that was ended or terminated, kept until `until_ms`."""

    session_id: str
    generation: int
    state: State
    at_ms: int
    until_ms: int
    by: str = ""
    reason: str = ""
    by_session_id: str | None = None
    by_device: str | Device | None = None


class Admitted(Struct, frozen=True, gc=False):
    """An admission. `lease` is None where nothing was reserved (a check of a session without a seat).

    `session` is None only for such a check. `existing`: the session held its seat before. `degraded`: the store was
    unavailable, and the worker answered from its cache. `would_refuse`: the code of the refusal that a dry run left
    out. `spent_ms`: where a visit was paid, the spent budget of the user, as the time until it is whole again (rule
    13).
    """

    session: Session | None
    lease: Lease | None
    limit: int
    live: int
    existing: bool
    events: tuple[Event, ...] = ()
    degraded: bool = False
    would_refuse: str | None = None
    spent_ms: int = 0


class Refusal(Struct, frozen=True):
    """A refusal: `code` is one of docs/reference/errors.md. It changed no live session.

    `scope`: what is full, the `user`'s seats, or those for this `stream` or `device-type`, of which there are
    `scope_limit`. `degraded`: as in `Admitted`.
    """

    code: str
    limit: int
    live: int
    sessions: tuple[Session, ...] = ()
    retry_after_ms: int = 0
    mark: Mark | None = None
    scope: str = "user"
    scope_limit: int | None = None
    degraded: bool = False


Decision = Admitted | Refusal


class Confirmed(Struct, frozen=True, gc=False):
    """A confirmation: the receipt counts, and the session is active. `degraded`: the store will get it later."""

    session: Session
    limit: int
    live: int
    events: tuple[Event, ...] = ()
    degraded: bool = False


class Gone(Struct, frozen=True):
    """The verdict on a receipt (or on progress) that came too late: the session holds no seat any more.

    `state` active: it holds one, but has moved to another stream, or to another of its players.
    """

    state: State
    mark: Mark | None = None
    events: tuple[Event, ...] = ()


Verdict = Confirmed | Gone


class Roster(Struct, frozen=True):
    """The roster of one user: the live sessions, the oldest first, and how many the user may have (`limit`)."""

    user_id: str
    limit: int
    sessions: tuple[Session, ...]

    @property
    def live(self) -> int:
        """How many live sessions there are."""
        return len(self.sessions)

    def find(self, session_id: str | None) -> Session | None:
        """The session of that id; None where it holds no seat."""
        return next((session for session in self.sessions if session.session_id == session_id), None)


class Swept(Struct, frozen=True):
    """The result of one bounded step of the sweep; `more`: more is due.

    `pause_seconds`: for how long to leave the store to others before the next one.
    """

    events: tuple[Event, ...]
    more: bool
    pause_seconds: float = 0.0


class Terms(Struct, frozen=True, gc=False):
    """How long a user's own limit holds, and why. `lasts_ms` None: for good.

    `until_ms`: the end as it was set, by the wall clock; it is only shown.
    """

    lasts_ms: int | None = None
    until_ms: int | None = None
    note: str = ""


FOR_GOOD = Terms()


class OwnLimit(Struct, frozen=True, gc=False):
    """A user's own limit that holds now. `terms.lasts_ms`: the remaining time."""

    user_id: str
    max_sessions: int
    terms: Terms = FOR_GOOD


class LimitPage(Struct, frozen=True):
    """A page of limits; `cursor` is None on the last one."""

    limits: tuple[OwnLimit, ...]
    cursor: str | None


class Page(Struct, frozen=True):
    """A page of live sessions; `cursor` is None on the last one."""

    sessions: tuple[Session, ...]
    cursor: str | None
