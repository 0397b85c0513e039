"""The engine of Valkey and Redis: servers across a network."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from streamlimit.errors import StoreUnavailable, StreamlimitError
from streamlimit.policy import Policy
from streamlimit.settings import Settings
from streamlimit.store.contract import Store
from streamlimit.store.feed import Feed
from streamlimit.store.outbox import Outbox
from streamlimit.store.reporting import ReportStore
from streamlimit.store.valkey import ValkeyFeed, ValkeyOutbox, ValkeyReports, ValkeyStore, check
from streamlimit.store.valkey.reporting import USERS_AT_ONCE
from streamlimit.tally import Tally

ELSEWHERE = (
    "the store is no file of this machine: let its servers save it (BGSAVE, then copy the dump.rdb of each primary). "
    "Sessions are worth nothing after n·X; set grant_keys to be independent of what is lost with the servers"
)


class ValkeyEngine:
    """An `Engine` on servers, which are connected at the first call."""

    is_local = False

    def __init__(self, settings: Settings) -> None:
        self._settings, self._url = settings, settings.store

    def store(self, policy: Policy, serves: bool = False, tally: Tally | None = None) -> Store:
        settings = self._settings
        return ValkeyStore(self._url, policy, settings.subscribed, outbox_max_events=settings.outbox_max_events)

    def outbox(self, subscriptions: Mapping[str, Collection[str]], serves: bool = False) -> Outbox:
        return ValkeyOutbox(self._url, subscriptions, self._settings.outbox_max_events)

    def feed(self, serves: bool = False) -> Feed:
        return ValkeyFeed(self._url, self._settings.history_events)

    def reports(self, serves: bool = False) -> tuple[ReportStore, int]:
        return ValkeyReports(self._url, self._settings.report_days), USERS_AT_ONCE

    def on_failure(self, store: Store, failed: Callable[[StoreUnavailable], None]) -> None:
        if isinstance(store, ValkeyStore):
            store.on_failure(lambda: failed(StoreUnavailable(store.failure)))

    def back_up(self, into: Path) -> int:
        raise StreamlimitError(ELSEWHERE)

    def require_made(self) -> None:
        """Does nothing: servers need not be made."""

    async def notes(self) -> list[str]:
        return await check(self._url)

    @contextmanager
    def trial(self) -> Iterator["ValkeyEngine"]:
        yield self
