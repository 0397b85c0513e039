"""The state of an outage: since when the store is unavailable, and what the operator wants to happen meanwhile."""

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
"""No failure for so long: the outage is over (in a cluster some shards may fail while others answer)."""


class Counts(Struct):
    """What the metrics show: outages, and how long `calls` admissions by the store took, `seconds` in all."""

    outages: int = 0
    degraded: int = 0
    failures: int = 0
    calls: int = 0
    seconds: float = 0.0


class OutagePolicy(Struct, frozen=True):
    """How to behave: *spares*: known sessions skip the round trip (a store across a wire)."""

    spares: bool = False
    on_outage: OnOutage = "keep-known"
    outage_seconds: float = 0.0


class Outage:
    """From the first failure (`since`) until nothing failed for a while. *on_change* gets True once, False once."""

    def __init__(
        self, outage_policy: OutagePolicy, clock: Callable[[], float], on_change: Callable[[bool], None]
    ) -> None:
        self._outage_policy, self._clock, self._on_change = outage_policy, clock, on_change
        self.counts, self.is_away = Counts(), False
        self._failed_at = self.since = self._unread_at = float("-inf")
        self.cause = ""  # in the store's words, of the failure that began it

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
        """A file that just failed is not tried again at once: each try may take long, and all wait for it.

        What the servers of a cluster share could not be held against all of them; they are tried each time.
        """
        return self.is_away and not self._outage_policy.spares and self._clock() - self._failed_at < PROBE_SECONDS

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
        """A file that cannot be written often can be read; but not again at once, where it could not."""
        return not self._outage_policy.spares and self._clock() - self._unread_at >= PROBE_SECONDS

    def unread(self) -> None:
        """The file could not even be read."""
        self._unread_at = self._clock()

    def failed(self, error: StoreUnavailable | None = None) -> None:
        """The store did not answer, but for *error*."""
        self.counts.failures += 1
        self._failed_at = self._clock()
        if not self.is_away:
            self.is_away, self.since, self.cause = True, self._failed_at, str(error or "")
            self.counts.outages += 1
            self._on_change(True)

    def answered(self, is_anything_kept: bool) -> None:
        """The store did answer. While something still has to be sent to it, it has not recovered."""
        if self.is_away and not is_anything_kept and self._clock() - self._failed_at >= CALM_SECONDS:
            self.is_away = False
            self._on_change(False)
