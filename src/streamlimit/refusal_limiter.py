"""The limiter of repeated refusals: clients that hammer are refused from memory, without the store.

Players such as ffmpeg and yt-dlp repeat a refused request tens of times a second. A session that was refused more than
`REFUSALS` times in a second is refused without the store, for a second at most (less where X is short, or a seat may
come free before; no longer once one is free). A user whose sessions, of any ids, are refused more than `STORM` times in
a second reaches the store only a few times a second with unknown sessions. Sessions with a seat are never affected.
Reads only the clock that is passed in.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from math import inf

from msgspec import Struct, field

from streamlimit.cache import SessionCache
from streamlimit.model import Ask, Purpose, Refusal

REFUSALS = 20
HELD_SECONDS = 1.0
STORM = 200
ASKS_A_SECOND = 10
USERS = 4_096
"""Most users that are remembered, those refused last."""

SESSIONS = 32
"""Most kinds of requests that are remembered of one user."""

CODE = "too-many-requests"

What = tuple[str, str, str, str | None, int]
"""A kind of request: session, stream, client, replacement and play."""


class Tries(Struct):
    """Refusals of one kind of request since `since`; held until `held_until`; `insisted`: it came meanwhile."""

    since: float
    count: int = 0
    held_until: float = -inf
    insisted: bool = False


class RefusedUser(Struct):
    """A user who was refused lately: refusals since `since`, sessions with a seat, and when others may ask next."""

    since: float
    last: float
    count: int = 0
    stormy_until: float = -inf
    next_ask: list[float] = field(default_factory=lambda: [-inf, -inf])
    sitting: set[str] = field(default_factory=set)
    tries: dict[What, Tries] = field(default_factory=dict)


class RefusalLimiter:
    """One worker's memory of refusals: `hold` is called before the store is asked, `note` with its refusals.

    A terminated session is held for *marked_seconds* at most: requests that the store does not see are silence (rule
    12).
    """

    def __init__(
        self,
        cache: SessionCache | None = None,
        clock: Callable[[], float] = time.monotonic,
        held_seconds: float = HELD_SECONDS,
        marked_seconds: float = HELD_SECONDS,
    ) -> None:
        self._cache, self._clock, self._held = cache, clock, min(held_seconds, HELD_SECONDS)
        self._marked = min(marked_seconds, self._held)
        self.users: dict[str, RefusedUser] = OrderedDict()
        """The users who were refused lately; mostly empty."""

    def __len__(self) -> int:
        return len(self.users)

    def hold(self, ask: Ask) -> Refusal | None:
        """The refusal from memory; None: the store is to be asked."""
        user = self.users.get(ask.user_id)
        if user is None:
            return None
        now = self._clock()
        if now - user.last > 2 * HELD_SECONDS:
            del self.users[ask.user_id]
            return None
        tries = user.tries.get(_what(ask))
        if tries is not None and now < tries.held_until:
            return Refusal(CODE, 0, 0, retry_after_ms=self._hold_on(user, tries, now))
        if now < user.stormy_until and not self._sits(user, ask, now):
            chooses = ask.replace in user.sitting  # the owner's way out of a storm does not queue with the storm
            if now < user.next_ask[chooses]:
                self._count(user, now)
                return Refusal(CODE, 0, 0, retry_after_ms=_in_ms(self._held))
            user.next_ask[chooses] = now + 1 / ASKS_A_SECOND
        return None

    def hold_again(self, ask: Ask) -> int:
        """The milliseconds for which a request that was held stays held; 0: it is to be asked anew, by `hold`.

        Unlike `hold`, it does not use up an unknown session's turn in a storm.
        """
        user = self.users.get(ask.user_id)
        tries = None if user is None else user.tries.get(_what(ask))
        if user is None or tries is None or (now := self._clock()) >= tries.held_until:
            return 0
        return self._hold_on(user, tries, now)

    def note(self, ask: Ask, refusal: Refusal) -> None:
        """Notes a refusal of the store."""
        now = self._clock()
        user = self.users.pop(ask.user_id, None) or RefusedUser(since=now, last=now)
        self.users[ask.user_id] = user  # the newest are last
        if len(self.users) > USERS:
            del self.users[next(iter(self.users))]
        user.sitting = {session.session_id for session in refusal.sessions}
        self._count(user, now)
        most = self._held if refusal.mark is None else self._marked
        room_in = refusal.retry_after_ms / 1_000 or most
        self._count_tries(user, _what(ask), now, min(most, room_in))

    def note_freed(self, user_id: str) -> None:
        """Notes that a seat of the user may be free: the next request goes to the store."""
        if self.users:
            self.users.pop(user_id, None)

    def note_admitted(self, ask: Ask) -> None:
        """Notes an admission of the store: the session has a seat, and is not held."""
        user = self.users.get(ask.user_id)
        if user is not None:
            user.sitting.add(ask.session_id)
            for what in [what for what in user.tries if what[:2] == (ask.session_id, ask.stream_id)]:
                del user.tries[what]

    def _hold_on(self, user: RefusedUser, tries: Tries, now: float) -> int:
        tries.insisted = True
        self._count(user, now)
        return _in_ms(tries.held_until - now)

    def _count(self, user: RefusedUser, now: float) -> None:
        user.last = now
        if now - user.since >= 1:
            user.since, user.count = now, 0
        user.count += 1
        if user.count > STORM:
            user.stormy_until = now + self._held

    def _count_tries(self, user: RefusedUser, what: What, now: float, held_seconds: float) -> None:
        tries = user.tries.pop(what, None) or Tries(since=now)
        user.tries[what] = tries
        if len(user.tries) > SESSIONS:
            del user.tries[next(iter(user.tries))]
        if now - tries.since >= 1:
            tries.since, tries.count = now, 0
        tries.count += 1
        if tries.count > REFUSALS or tries.insisted:  # a client that went on through the last second gets one question
            tries.held_until = now + held_seconds
            tries.since, tries.count, tries.insisted = now, 0, False

    def _sits(self, user: RefusedUser, ask: Ask, now: float) -> bool:
        if ask.session_id in user.sitting:
            return True
        return self._cache is not None and self._cache.recall(ask, now) is not None


def _in_ms(seconds: float) -> int:
    return max(round(seconds * 1_000), 1)


def _what(ask: Ask) -> What:
    # Each request of an entry playlist has a new play, so plays distinguish only requests for media.
    play = 0 if ask.purpose is Purpose.CHECK else ask.play
    return ask.session_id, ask.stream_id, ask.client, ask.replace, play
