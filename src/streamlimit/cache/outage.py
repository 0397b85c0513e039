"""The state of an outage: since when the store is unavailable, and what the operator chose for that time."""

from collections.abc import Callable
from typing import Literal, TypeVar

from msgspec import Struct

from streamlimit.errors import StoreUnavailable
from streamlimit.store.contract import Answer

T = TypeVar("T")

OnOutage = Literal["keep-known", "admit-all", "refuse-all"]

PROBE_SECONDS = 0.25
"""How often an unavailable store is tried again."""

CALM_SECONDS = 1.0
"""The time without a failure after which an outage is over: in a cluster, shards may fail while others answer."""


class Counts(Struct):
    """Counters for the metrics: outages, and `calls` admissions by the store, which took `seconds` in all."""

    outages: int = 0
    degraded: int = 0
    failures: int = 0
    calls: int = 0
    seconds: float = 0.0


class OutagePolicy(Struct, frozen=True):
    """The behaviour in an outage. *spares*: cached sessions skip the round trip (for a store across a network)."""

    spares: bool = False
    on_outage: OnOutage = "keep-known"
    outage_seconds: float = 0.0


class Outage:
    """One worker's outage: from the first failure (`since`) until none for a while.

    *on_change* gets True, then False.
    """

    def __init__(
        self, outage_policy: OutagePolicy, clock: Callable[[], float], on_change: Callable[[bool], None]
    ) -> None:
        self._outage_policy, self._clock, self._on_change = outage_policy, clock, on_change
        self.spares = outage_policy.spares
        self.counts, self.is_away = Counts(), False
        self._failed_at = self.since = self._unread_at = float("-inf")
        self.cause = ""  # the text of the failure that began it

    @property
    def refuses_all(self) -> bool:
        """Are even sessions refused that hold a seat?"""
        return self.is_away and self._outage_policy.on_outage == "refuse-all"

    @property
    def admits_all(self) -> bool:
        """Are even unknown sessions admitted?"""
        return self.is_away and self._outage_policy.on_outage == "admit-all"

    @property
    def admits_granted(self) -> bool:
        """Are unknown sessions admitted on an unexpired grant, up to the limit? For `outage_seconds`."""
        return self.is_away and self._clock() - self.since < self._outage_policy.outage_seconds

    @property
    def rests(self) -> bool:
        """Is the store not to be tried yet? A file that just failed is not: a try may take long, and all wait for it.

        The servers of a cluster are tried each time: the failure of one says nothing of the others.
        """
        return self.is_away and not self.spares and self._clock() - self._failed_at < PROBE_SECONDS

    def attempt(self, promise: Callable[..., Answer[T]], *args: object) -> Answer[T]:
        """Asks the store, unless it `rests`; raises `StoreUnavailable` where it does not answer, or rests."""
        if self.is_away and self.rests:
            raise StoreUnavailable("the store failed a moment ago")
        try:
            return promise(*args)
        except StoreUnavailable as error:
            self.failed(error)
            raise

    @property
    def may_read(self) -> bool:
        """May the file be read, though it cannot be written? Not again at once where reading failed."""
        return not self.spares and self._clock() - self._unread_at >= PROBE_SECONDS

    def unread(self) -> None:
        """Notes that the file could not be read."""
        self._unread_at = self._clock()

    def failed(self, error: StoreUnavailable | None = None) -> None:
        """Notes that the store failed, with *error*; None: no call met the failure."""
        self.counts.failures += 1
        self._failed_at = self._clock()
        if not self.is_away:
            self.is_away, self.since, self.cause = True, self._failed_at, str(error or "")
            self.counts.outages += 1
            self._on_change(True)

    def unanswered(self, error: Exception) -> StoreUnavailable:
        """As `failed`, and returns *error*, which is raised where it is no failure of the store."""
        if not isinstance(error, StoreUnavailable):
            raise error
        self.failed(error)
        return error

    def answered(self, is_anything_kept: bool) -> None:
        """Notes that the store answered. It has recovered once no kept receipt is left to be sent."""
        if self.is_away and not is_anything_kept and self._clock() - self._failed_at >= CALM_SECONDS:
            self.is_away = False
            self._on_change(False)
