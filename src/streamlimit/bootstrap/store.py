"""The store that the settings name, tried, and what decides over it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from streamlimit.bootstrap.checkpoints import checkpoints
from streamlimit.cache import CachingStore, OutagePolicy
from streamlimit.errors import SettingsError, StoreHindered, StoreLocked, StoreUnavailable, StreamlimitError
from streamlimit.limiter import Limiter
from streamlimit.logs import announce, announce_outage
from streamlimit.model import Event
from streamlimit.policy import Policy
from streamlimit.settings import Settings
from streamlimit.store.contract import Store, resolved
from streamlimit.store.diagnosis import in_words
from streamlimit.tally import Tally

T = TypeVar("T")


def is_sqlite(settings: Settings) -> bool:
    """Is the store one file on this machine, not servers across a wire?"""
    return settings.store.startswith("sqlite:")


def sqlite_path(settings: Settings) -> str:
    """The path of SQLite's file."""
    return settings.store.removeprefix("sqlite:///")


def require_store(settings: Settings) -> None:
    """Raises `StreamlimitError` where the store is a file and nobody has made it: who only looks makes none.

    Where there is not even a folder for it the setting is wrong, which opening it tells.
    """
    path = sqlite_path(settings)
    if is_sqlite(settings) and not _is_made(path) and Path(path).parent.is_dir():
        raise StreamlimitError(f"there is no store at {path}: nothing was served with these settings, in this folder")


def _is_made(path: str) -> bool:
    """Is there something? An empty file is none yet; what cannot be looked at is for opening it to tell."""
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True


def open_store(settings: Settings, policy: Policy, serves: bool = False, tally: Tally | None = None) -> Store:
    """The store that the settings name, be it there or not yet. *serves*: a worker's own; *tally*: where it counts.

    Raises `SettingsError` where the file never will be one, and `StoreUnavailable` where its disk is full or fails. To
    a worker neither happens: its service has started, and goes on without the file until that can be opened.
    """
    most = settings.outbox_max_events
    if not is_sqlite(settings):
        from streamlimit.store.valkey import ValkeyStore

        return ValkeyStore(settings.store, policy, settings.subscribed, outbox_max_events=most)
    from streamlimit.store.sqlite import SqliteStore

    told = checkpoints(tally)
    path, wanted = sqlite_path(settings), settings.subscribed
    return open_file(
        lambda: SqliteStore(path, policy, wanted, outbox_max_events=most, gathers=True, checkpointed=told), serves
    )


def open_file(make: Callable[[], T], serves: bool) -> T:
    """The part that *make* opens on SQLite's file, now or later; the rest as in `open_store`."""
    from streamlimit.store.sqlite import opened

    try:
        return opened(make, StoreUnavailable if serves else StoreLocked)
    except StoreHindered:
        raise
    except StoreUnavailable as error:
        raise SettingsError("store", str(error)) from error


def open_limiter(settings: Settings) -> Limiter:
    """A limiter without HTTP: for commands and for library users with a configuration."""
    return Limiter(open_store(settings, settings.policy()), announce)


def cached(settings: Settings, store: Store, tell: Callable[[Event], None] = announce) -> CachingStore:
    """*store* behind the worker's cache, which bridges its outages."""
    outage_policy = OutagePolicy(
        spares=not is_sqlite(settings),
        on_outage=settings.on_store_outage if settings.enforce else "admit-all",  # a dry run refuses nobody
        outage_seconds=settings.outage_seconds,
    )

    def announce_change(away: bool) -> None:
        cause = found.cause
        announce_outage(outage_policy.on_outage, outage_policy.outage_seconds, away, in_words(cause), cause)

    found = CachingStore(store, settings.policy(), outage_policy, tell, announce_change)
    if not is_sqlite(settings):
        from streamlimit.store.valkey import ValkeyStore

        if isinstance(store, ValkeyStore):
            store.when_it_fails(lambda: found.failed(StoreUnavailable(store.failure)))
    return found


async def check_store(settings: Settings) -> list[str]:
    """Tries the store. Notes on it; raises `SettingsError` or `StoreUnavailable`, with words, where it is no good."""
    notes = []
    if not is_sqlite(settings):
        from streamlimit.store.valkey import check

        notes = await check(settings.store)
    with _beside(settings) as tried:
        store = open_store(tried, tried.policy())
        try:
            await resolved(store.ping())
            await resolved(store.sessions("check-config"))  # a step of its own kind: may this user run scripts?
        finally:
            await resolved(store.close())
    return notes


@contextmanager
def _beside(settings: Settings) -> Iterator[Settings]:
    """The settings, with a file beside one that is not there yet: trying it makes nothing that stays."""
    path = Path(sqlite_path(settings)) if is_sqlite(settings) else None
    if path is None or _is_made(str(path)) or not os.access(path.parent, os.W_OK | os.X_OK):
        yield settings
        return
    with TemporaryDirectory(prefix=".streamlimit-", dir=path.parent) as folder:
        yield settings.model_copy(update={"store": f"sqlite:///{folder}/{path.name}"})
