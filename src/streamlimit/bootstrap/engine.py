"""The engine of the store that the settings name: one value, which opens each part that a store has."""

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
    """Opens the parts of a store, be it there or not yet. *serves*: for a worker, not for a command.

    Each raises `SettingsError` where a file never will be one, and `StoreUnavailable` where its disk is full or fails.
    To a worker neither happens: its service has started, and goes on without the file until that can be opened.
    """

    @property
    def is_local(self) -> bool:
        """Is the store a file of this machine, which answers at once, and not servers across a network?"""
        ...

    def store(self, policy: Policy, serves: bool = False, tally: Tally | None = None) -> Store:
        """The store of sessions; *tally* counts how its upkeep fares."""
        ...

    def outbox(self, subscriptions: Mapping[str, Collection[str]], serves: bool = False) -> Outbox:
        """The outbox of webhooks. *subscriptions*: the event types that each endpoint wants."""
        ...

    def feed(self, serves: bool = False) -> Feed:
        """The feed and the histories."""
        ...

    def reports(self, serves: bool = False) -> tuple[ReportStore, int]:
        """The numbers of reports, and how many users one batch of them may name."""
        ...

    def on_failure(self, store: Store, failed: Callable[[StoreUnavailable], None]) -> None:
        """*failed* is called when *store* is found to be out of reach while no request asks it anything."""
        ...

    def back_up(self, into: Path) -> int:
        """Copies the store to *into*; the copy's bytes. Raises `StreamlimitError`, with words."""
        ...

    def require_made(self) -> None:
        """Raises `StreamlimitError` where the store is a file that no service has made: a command makes none."""
        ...

    async def notes(self) -> list[str]:
        """What an operator should know of the store. Raises `SettingsError` or `StoreUnavailable` where it is bad."""
        ...

    def trial(self) -> AbstractContextManager["Engine"]:
        """An engine to try, which leaves nothing behind where the store is not there yet."""
        ...


def engine_of(settings: Settings) -> Engine:
    """The engine that `store` names. What only the other one needs is not imported."""
    if settings.store.startswith("sqlite:"):
        from streamlimit.bootstrap.sqlite import SqliteEngine

        return SqliteEngine(settings)
    from streamlimit.bootstrap.valkey import ValkeyEngine

    return ValkeyEngine(settings)
