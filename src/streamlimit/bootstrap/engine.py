"""The engine of the store in the settings: one value that opens each part of a store."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from streamlimit.errors import StoreUnavailable
from streamlimit.policy import Policy
from streamlimit.settings import Settings
from streamlimit.store.contract import Store
from streamlimit.store.feed import Feed
from streamlimit.store.outbox import Outbox
from streamlimit.store.reporting import ReportStore
from streamlimit.tally import Tally


class Engine(Protocol):
    """Opens the parts of a store. *serves*: for a worker, not for a command.

    Each method raises `SettingsError` for a path that cannot be a store, and `StoreUnavailable` where its disk is full
    or fails. For a worker neither is raised: its service has started, and goes on without the file until it can be
    opened.
    """

    @property
    def is_local(self) -> bool:
        """Is the store a file of this machine, which answers at once, not servers across a network?"""
        ...

    def store(self, policy: Policy, serves: bool = False, tally: Tally | None = None) -> Store:
        """The store of sessions; *tally* counts its checkpoints."""
        ...

    def outbox(self, subscriptions: Mapping[str, Collection[str]], serves: bool = False) -> Outbox:
        """The outbox of webhooks. *subscriptions*: the event types that each endpoint wants."""
        ...

    def feed(self, serves: bool = False) -> Feed:
        """The feed and the histories."""
        ...

    def reports(self, serves: bool = False) -> tuple[ReportStore, int]:
        """The store of reports, and the most users of one batch."""
        ...

    def on_failure(self, store: Store, failed: Callable[[StoreUnavailable], None]) -> None:
        """Has *failed* called when *store* becomes unavailable without a call to it."""
        ...

    def back_up(self, into: Path) -> int:
        """Copies the store to *into*, and returns the copy's bytes. Raises `StreamlimitError`."""
        ...

    def require_made(self) -> None:
        """Raises `StreamlimitError` where the store is a file that no service has made: commands make none."""
        ...

    async def notes(self) -> list[str]:
        """Notes on the store for the operator. Raises `SettingsError` or `StoreUnavailable`."""
        ...

    def trial(self) -> AbstractContextManager["Engine"]:
        """An engine for trying the settings, which leaves nothing behind where the store does not exist yet."""
        ...


def engine_of(settings: Settings) -> Engine:
    """The engine for `store`. The modules of the other one are not imported."""
    if settings.store.startswith("sqlite:"):
        from streamlimit.bootstrap.sqlite import SqliteEngine

        return SqliteEngine(settings)
    from streamlimit.bootstrap.valkey import ValkeyEngine

    return ValkeyEngine(settings)
