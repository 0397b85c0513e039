"""Sessions that were ended, terminated or replaced through this worker: what was under way does not bring them back."""

from itertools import islice

from streamlimit.model import Ask

DEPARTED_AT_MOST = 10_000
FORGOTTEN_AT_MOST = 100


class Departed:
    """Remembered for *seconds* (n·X), or until the store admits them again; of too many, the newest."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def has(self, ask: Ask) -> bool:
        """Has the asking session left?"""
        return bool(self._since) and (ask.user_id, ask.session_id) in self._since

    def add(self, user_id: str, session_id: str, now: float) -> None:
        """It leaves."""
        self._since.pop((user_id, session_id), None)
        self._since[user_id, session_id] = now
        if len(self._since) > DEPARTED_AT_MOST:
            del self._since[next(iter(self._since))]

    def is_back(self, ask: Ask, asked_at: float) -> bool:
        """The store, asked at *asked_at*, admitted it: it is here, unless it left only after that."""
        if not self._since:
            return True
        who = ask.user_id, ask.session_id
        if self._since.get(who, asked_at) > asked_at:
            return False
        self._since.pop(who, None)
        return True

    def forget_old(self, now: float) -> None:
        """Nothing can be under way any more for those who left so long ago. Some at a time, the oldest first."""
        for who, since in list(islice(self._since.items(), FORGOTTEN_AT_MOST)):
            if now - since < self._seconds:
                return
            del self._since[who]
