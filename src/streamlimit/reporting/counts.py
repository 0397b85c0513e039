"""The counts of one worker for reports: plain numbers and sets in memory, until they are flushed. Reads no store.

Segments and heartbeats of a session with a seat are not counted: only new seats, refusals and moves.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import islice

from msgspec import Struct, field

from streamlimit.model import Admitted, Ask, Device, Event, Refusal
from streamlimit.store.reporting import DIGEST_BYTES, GROUPS_KEPT, HOUR_MS, NONE, OTHER, Count, Group, Key
from streamlimit.tally import COUNTED

USERS_KEPT = 100_000
"""Most users that wait to be flushed, each once an hour; of an unavailable store HOURS_KEPT hours are kept."""
HOURS_KEPT = 48

PLACES_KEPT = 400
"""Combinations of plan, stream and type of device that are counted apart before they are added up."""

ALL: Key = (Group.ALL, NONE)
Keys = tuple[Key, ...]
Part = dict[int, dict[Key, Count]]
"""A part of a batch (store/reporting.py): numbers by hour, and by value of a group."""


Place = tuple[str | None, str, str | None]
"""The plan, stream and type of device of a session."""


class Seats(Struct):
    """Seats that were `given` to sessions of one `Place`, counted under `keys`; `live`: the most that one user had."""

    keys: Keys
    given: int = 0
    live: int = 0


class Hour(Struct):
    """The numbers of one hour, and `seats`, which are added to them later: they are many, of a few places.

    By user that was seen, or refused, the values of groups.
    """

    numbers: dict[Key, Count] = field(default_factory=dict)
    seats: dict[Place, Seats] = field(default_factory=dict)
    users: dict[str, Keys] = field(default_factory=dict)
    refused: dict[str, Keys] = field(default_factory=dict)

    def seats_of(self, place: Place) -> Seats:
        """The seats of *place*."""
        found = self.seats.get(place)
        if found is None:
            if len(self.seats) >= PLACES_KEPT:
                self.add_up()
            found = self.seats[place] = Seats(_keys(*place))
        return found

    def add_up(self) -> None:
        """Adds the counted seats to the numbers of their groups."""
        for seats in self.seats.values():
            for key in seats.keys:
                count = self.count(key)
                count.admissions += seats.given
                count.peak = max(count.peak, seats.live if key[0] in (Group.ALL, Group.PLAN) else 1)
        self.seats.clear()

    def count(self, key: Key) -> Count:
        """The numbers of *key*. Their number is bounded: values invented by viewers must not fill the memory."""
        found = self.numbers.get(key)
        if found is None:
            if len(self.numbers) >= len(Group) * GROUPS_KEPT:
                key = (key[0], OTHER)
            found = self.numbers.setdefault(key, Count())
        return found


class Counts:
    """The counts since the last `take`. *wall_ms*: the clock.

    Since the start: `seats` that were given; `dropped` users, who were not counted, for there were too many.
    """

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._hours: dict[int, Hour] = {}
        self._users = 0
        self.seats = self.dropped = 0

    @property
    def users(self) -> int:
        """The number of users that wait to be flushed."""
        return self._users

    def admitted(self, ask: Ask, admitted: Admitted) -> None:
        """Counts a session that was given a seat."""
        self.seats += 1
        hour, device = self._hour(self._wall_ms()), ask.device
        place = ask.plan, ask.stream_id, device.type if isinstance(device, Device) else None
        seats = hour.seats.get(place) or hour.seats_of(place)
        seats.given += 1
        if admitted.live > seats.live:
            seats.live = admitted.live
        self._add_user(hour.users, ask.user_id, seats.keys)

    def refused(self, ask: Ask, refusal: Refusal) -> None:
        """Counts a request that a limit refused, or in a dry run would have."""
        if refusal.code not in COUNTED:
            return
        hour, keys = self._hour(self._wall_ms()), keys_of(ask.plan, ask.stream_id, ask.device)
        for key in keys:
            hour.count(key).refusals += 1
        self._add_user(hour.users, ask.user_id, keys)
        self._add_user(hour.refused, ask.user_id, keys)

    def happened(self, event: Event) -> None:
        """Counts a session that moved to another stream."""
        if event.type == "session.moved":
            session = event.session
            keys = keys_of(session.plan, session.stream_id, session.device)
            self.watched(self._wall_ms(), session.user_id, keys)

    def watched(self, at_ms: int, user_id: str, keys: Iterable[Key]) -> None:
        """Counts the user in these values of groups."""
        self._add_user(self._hour(at_ms).users, user_id, tuple(keys))

    def at_limit(self, at_ms: int, key: Key, for_ms: int) -> None:
        """Adds *for_ms* to the time in which users of *key* had all their seats taken."""
        self._hour(at_ms).count(key).at_limit_ms += for_ms

    def live(self, at_ms: int, key: Key, sessions: int) -> None:
        """Notes that *sessions* of *key* were live at once."""
        count = self._hour(at_ms).count(key)
        count.peak = max(count.peak, sessions)

    def take(self, key: bytes, at_once: int) -> Iterator[Part]:
        """Takes all counts, in parts of *at_once* users at most, who are named by digests made with *key*."""
        hours, self._hours, self._users = self._hours, {}, 0
        for hour_ms, hour in hours.items():
            hour.add_up()
            yield {hour_ms: hour.numbers}
            for refused, users in ((False, hour.users), (True, hour.refused)):
                entries = _entries(key, users)
                while some := list(islice(entries, at_once)):
                    yield {hour_ms: _counted(some, refused)}

    def _hour(self, at_ms: int) -> Hour:
        hour_ms = at_ms - at_ms % HOUR_MS
        found = self._hours.get(hour_ms)
        if found is None:
            if len(self._hours) >= HOURS_KEPT:
                gone = self._hours.pop(min(self._hours))
                self._users -= len(gone.users) + len(gone.refused)
                self.dropped += len(gone.users)
            found = self._hours[hour_ms] = Hour()
        return found

    def _add_user(self, users: dict[str, Keys], user_id: str, keys: Keys) -> None:
        found = users.get(user_id)
        if found is not None:
            if found is not keys:
                users[user_id] = tuple({*found, *keys})
        elif self._users < USERS_KEPT:
            users[user_id] = keys
            self._users += 1
        else:
            self.dropped += 1


def keys_of(plan: str | None, stream_id: str, device: str | Device | None) -> Keys:
    """The values of the groups in which a session is counted."""
    return _keys(plan, stream_id, device.type if isinstance(device, Device) else None)


@lru_cache(maxsize=PLACES_KEPT)  # the same ones again and again: users that have them are not added up anew
def _keys(plan: str | None, stream_id: str, kind: str | None) -> Keys:
    return ALL, (Group.PLAN, plan or NONE), (Group.STREAM, stream_id), (Group.DEVICE_TYPE, kind or NONE)


def digest(key: bytes, user_id: str) -> bytes:
    """The digest of a user, which cannot be traced back without *key*."""
    return blake2b(user_id.encode(), digest_size=DIGEST_BYTES, key=key).digest()


def _entries(key: bytes, users: dict[str, Keys]) -> Iterator[tuple[Key, bytes]]:
    """The values of groups, each with the digests of users to be counted."""
    for user_id, keys in users.items():
        user = digest(key, user_id)
        for each in keys:
            yield each, user


def _counted(entries: list[tuple[Key, bytes]], refused: bool) -> dict[Key, Count]:
    found: dict[Key, set[bytes]] = {}
    for key, user in entries:
        found.setdefault(key, set()).add(user)
    return {key: Count(refused_users=users) if refused else Count(users=users) for key, users in found.items()}
