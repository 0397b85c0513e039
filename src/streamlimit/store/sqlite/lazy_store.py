"""A proxy for a store or an outbox whose file cannot be opened yet: opening is tried again now and then."""

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from streamlimit.errors import SettingsError, StoreLocked, StoreUnavailable
from streamlimit.model import Receipt
from streamlimit.store.contract import OnVerdict
from streamlimit.store.sqlite.connection import LOOP_SECONDS, opening_seconds

T = TypeVar("T")

REST_SECONDS = 1.0
"""The pause between two tries: each blocks the process."""


def opened(make: Callable[[], T], waits_for: type[StoreUnavailable] = StoreLocked) -> T:
    """The part that *make* opens; where it raises *waits_for*, a proxy that opens it later.

    Raises any other `StoreUnavailable`.
    """
    try:
        return make()
    except waits_for as error:
        return cast(T, LazyStore(make, error))


class LazyStore:
    """A proxy for the part that *make* opens; each call raises `StoreUnavailable` until it is open."""

    def __init__(
        self, make: Callable[[], Any], why: StoreUnavailable, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make, self._why, self._clock = make, why, clock
        self._found: Any = None
        self._tried_at = clock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The method *name* of the part; once the part is open, it becomes an attribute of the proxy."""

        def promise(*asked: Any, **more: Any) -> Any:
            kept = getattr(self._opened(), name)
            setattr(self, name, kept)
            return kept(*asked, **more)

        return promise

    def report(self, receipt: Receipt, callback: OnVerdict) -> None:
        """As the store's `report`, which raises nothing."""
        try:
            self._opened().report(receipt, callback)
        except StoreUnavailable as error:
            callback(error)

    def close(self) -> None:
        """Closes the part, if it is open."""
        if self._found is not None:
            self._found.close()

    def _opened(self) -> Any:
        if self._found is None:
            if self._clock() - self._tried_at < REST_SECONDS:
                raise StoreUnavailable(str(self._why))
            try:
                self._found = self._make_at_once()
            except StoreUnavailable as error:
                self._why = error
                raise
            except SettingsError as error:  # it is too late to stop the start
                raise StoreUnavailable(str(error)) from error
            finally:
                self._tried_at = self._clock()
        return self._found

    def _make_at_once(self) -> Any:
        """Opens the part, blocking no longer than `LOOP_SECONDS`."""
        before = opening_seconds.set(LOOP_SECONDS)
        try:
            return self._make()
        finally:
            opening_seconds.reset(before)
