"""The documents that calls answer with, as types: only their JSON schemas are used. A test compares real answers."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Count = Annotated[int, Meta(ge=0)]
Seats = Annotated[int, Meta(ge=1, le=64)]
Live = Literal["starting", "active", "idle"]


class Device(Struct):
    """What the viewer calls the thing it watches on."""

    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    type: str | UnsetType = UNSET


class Player(Struct):
    """One player of one user: what is said of it whatever became of its session."""

    session_id: str
    user_id: str
    stream_id: str
    device: str | Device | None
    segment: Annotated[str | None, Meta(description="the last segment that was received")]
    sequence: Annotated[int | None, Meta(description="its number, from 0")]
    last_activity_at: datetime | None
    plan: str | None
    limit: Annotated[int | None, Meta(description="under which it was last admitted")]


class Session(Player):
    """One player of one user, as of this moment."""

    state: Live
    started_at: datetime
    expires_at: Annotated[datetime, Meta(description="until then it keeps its seat without receiving anything")]


class BeatingSession(Session):
    """A session, and how often it is to send heartbeats."""

    heartbeat_seconds: Annotated[float, Meta(gt=0)]
    silent_after_seconds: Annotated[float, Meta(gt=0, description="without a heartbeat its seat is free after so long")]


class OpenedSession(Struct):
    """A session that was opened. `session` is null where a dry run let it through without recording it."""

    session: Session | None
    playback_url: str
    grant: str
    limit: Seats
    live_sessions: Count


class UserSessions(Struct):
    """Who is watching on a user's seats."""

    user_id: str
    limit: Seats
    live_sessions: Count
    sessions: list[Session]


class Stream(Struct):
    """What can be played."""

    stream_id: str
    title: str
    entry: Annotated[str, Meta(description="the playlist or manifest that a player begins with")]
    segments: Count
    segment_seconds: float
    live: bool


class Streams(Struct):
    """All that can be played here."""

    streams: list[Stream]


class Expirations(Struct):
    """What one sweep expired. `finished` is false where more is due."""

    expired: Count
    abandoned: Count
    sessions: Annotated[list["GoneSession"], Meta(max_length=100)]
    callbacks_pending: Count
    finished: bool


class GoneSession(Player):
    """A session that holds no seat any more, as it was last."""

    state: Literal["expired", "ended", "terminated", "abandoned"]
    started_at: datetime
    expires_at: datetime


class EventSession(Player):
    """A session as an event has it. Of a refused one without a seat the times are null."""

    state: str
    started_at: datetime | None
    expires_at: datetime | None
    generation: Annotated[int, Meta(description="which of the session's lives this is")]
    move: Annotated[int, Meta(description="how often it went to another stream")]


class EventData(Struct):
    """What happened to whom. `plan`, `limit`, `live_sessions`: of a refusal, as they were then."""

    session: EventSession
    reason: str
    by: str | UnsetType = UNSET
    plan: str | UnsetType | None = UNSET
    limit: int | UnsetType | None = UNSET
    live_sessions: int | UnsetType = UNSET


class Event(Struct):
    """One event, as a webhook is sent it."""

    type: str
    timestamp: datetime
    data: EventData


class History(Struct):
    """A page of a user's last events, newest first. `cursor` is null on the last one."""

    user_id: str
    events: list[Event]
    cursor: str | None


class SessionPage(Struct):
    """A page of live sessions. `cursor` is null on the last one."""

    sessions: list[Session]
    cursor: str | None


class OwnLimit(Struct):
    """One user with a limit of their own."""

    user_id: str
    max_sessions: Seats
    until: datetime | None
    note: str


class UserLimit(OwnLimit):
    """A user's limit. `source`: `own`, or the service's `max_sessions`."""

    own: bool
    source: Literal["own", "max_sessions"]
    plans: dict[str, int]


class LimitPage(Struct):
    """A page of users with limits of their own. `cursor` is null on the last one."""

    limits: list[OwnLimit]
    cursor: str | None


class Webhooks(Struct):
    """Events that wait for an endpoint (null while the store is unavailable), deliveries by result, what was lost."""

    pending: int | None
    attempts: dict[str, int]
    dropped: Annotated[dict[str, int], Meta(description="events that found no room, by endpoint")]


class Workers(Struct):
    """Of the machine that answers."""

    running: Count
    expected: Count


class ReportRow(Struct):
    """One bucket of a report; of its group, where one was asked for, the one of `plan`, `stream`, `device_type`."""

    at: Annotated[datetime, Meta(description="when it begins; by hour-of-day: that hour of the month's first day")]
    admissions: Annotated[Count, Meta(description="sessions that were given a seat")]
    refusals: Annotated[Count, Meta(description="requests that a limit refused")]
    refused_users: Annotated[Count, Meta(description="different users among those")]
    users: Annotated[Count, Meta(description="different users who watched, or were refused")]
    peak_live_sessions: Annotated[Count, Meta(description="the most live sessions at once")]
    seconds_at_limit: Annotated[float, Meta(ge=0, description="how long users had all seats taken, added up")]
    hour: Annotated[int, Meta(ge=0, le=23, description="by hour-of-day")] | UnsetType = UNSET
    plan: str | UnsetType | None = UNSET
    stream: str | UnsetType = UNSET
    device_type: str | UnsetType | None = UNSET


class Report(Struct, rename={"begin": "from", "to": "to"}):
    """Numbers by time; what has no row was nothing. All times are UTC."""

    begin: datetime
    to: datetime
    by: Literal["hour", "day", "month", "hour-of-day"]
    group: Literal["plan", "stream", "device_type"] | None
    rows: list[ReportRow]


class StoreNumbers(Struct):
    """How the store does."""

    away: bool
    degraded_answers: Count
    latency_ms: float | None


class Stats(Struct):
    """Numbers of all workers since they started; sessions, users and streams from a background count of that age."""

    sessions: dict[str, int] | None
    users: int | None
    users_at_limit: Annotated[int | None, Meta(description="all of whose seats are taken")]
    streams: dict[str, int] | None
    counted_seconds_ago: float | None
    admissions: Count
    confirmations: Count
    refusals: dict[str, int]
    would_refuse: dict[str, int]
    expiries: Count
    events: dict[str, int]
    callbacks: Webhooks
    workers: Workers
    store: StoreNumbers


class Me(Struct):
    """Who a credential speaks for. `name`: of a key's owner; `user_id`, `session_id`: null where it is for all."""

    role: Literal["anyone", "local", "grant", "viewer", "service", "reader", "operator"]
    name: str | None
    user_id: str | None
    session_id: str | None


class Series(Struct):
    """Numbers by time (`at`, seconds of the epoch) of one machine's workers since they started (`since`). Sessions and
    users are how many there were, null where nothing was counted; all else is per second, but for the store's latency.
    """

    span: Literal["hour", "day"]
    since: float | None
    at: list[float]
    live_sessions: list[int | None]
    users_at_limit: list[int | None]
    admissions: list[float]
    segments: list[float]
    refusals: dict[str, list[float]]
    store_latency_ms: list[float | None]
    webhooks_sent: list[float]
    webhooks_failed: list[float]


class Health(Struct):
    """All is well."""

    status: Literal["ok", "ready"]


class Gone(Struct):
    """Whom an edge is to let in no more."""

    gone: Annotated[list[str], Meta(description="grants")]
