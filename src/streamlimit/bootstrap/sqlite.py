"""The engine of SQLite: one file on this machine."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from streamlimit.errors import SettingsError, StoreHindered, StoreLocked, StoreUnavailable, StreamlimitError
from streamlimit.logs import EventLog
from streamlimit.policy import Policy
from streamlimit.settings import Settings
from streamlimit.store.contract import Store
from streamlimit.store.feed import Feed
from streamlimit.store.outbox import Outbox
from streamlimit.store.reporting import ReportStore
from streamlimit.store.sqlite import (
    SqliteFeed,
    SqliteOutbox,
    SqliteReports,
    SqliteStore,
    back_up,
    opened,
    patient,
)
from streamlimit.store.sqlite.checkpoint import Checkpoint
from streamlimit.store.sqlite.reporting import USERS_AT_ONCE
from streamlimit.tally import Tally

T = TypeVar("T")

log = EventLog("streamlimit")


class SqliteEngine:
    """An `Engine` on a file of SQLite."""

    is_local = True

    def __init__(self, settings: Settings) -> None:
        self._settings, self._path = settings, settings.store.removeprefix("sqlite:///")

    def store(self, policy: Policy, serves: bool = False, tally: Tally | None = None) -> Store:
        path, wanted, most = self._path, self._settings.subscribed, self._settings.outbox_max_events
        listener = checkpoints(tally)
        return _open(
            lambda: SqliteStore(path, policy, wanted, outbox_max_events=most, gathers=True, checkpointed=listener),
            serves,
        )

    def outbox(self, subscriptions: Mapping[str, Collection[str]], serves: bool = False) -> Outbox:
        return _open(lambda: patient(SqliteOutbox, self._path, subscriptions, self._settings.outbox_max_events), serves)

    def feed(self, serves: bool = False) -> Feed:
        return _open(lambda: patient(SqliteFeed, self._path, self._settings.history_events), serves)

    def reports(self, serves: bool = False) -> tuple[ReportStore, int]:
        return _open(lambda: patient(SqliteReports, self._path), serves), USERS_AT_ONCE

    def on_failure(self, store: Store, failed: Callable[[StoreUnavailable], None]) -> None:
        """Does nothing: a file fails only when it is called."""

    def back_up(self, into: Path) -> int:
        return back_up(self._path, into)

    def require_made(self) -> None:
        """As `Engine.require_made`; where there is no folder for the file, opening it reports the wrong setting."""
        if not _is_made(self._path) and Path(self._path).parent.is_dir():
            raise StreamlimitError(
                f"there is no store at {self._path}: nothing was served with these settings, in this folder"
            )

    async def notes(self) -> list[str]:
        return []

    @contextmanager
    def trial(self) -> Iterator["SqliteEngine"]:
        """As `Engine.trial`: a temporary file in the folder of one that does not exist yet."""
        path = Path(self._path)
        if _is_made(self._path) or not os.access(path.parent, os.W_OK | os.X_OK):
            yield self
            return
        with TemporaryDirectory(prefix=".streamlimit-", dir=path.parent) as folder:
            yield SqliteEngine(self._settings.model_copy(update={"store": f"sqlite:///{folder}/{path.name}"}))


def _open(make: Callable[[], T], serves: bool) -> T:
    """The part that *make* opens, at once or (for a worker) later."""
    try:
        return opened(make, StoreUnavailable if serves else StoreLocked)
    except StoreHindered:
        raise
    except StoreUnavailable as error:
        raise SettingsError("store", str(error)) from error


def _is_made(path: str) -> bool:
    """Does the store exist? An empty file counts as none; a path that cannot be examined is reported by opening it."""
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True


def checkpoints(tally: Tally | None) -> Callable[[Checkpoint], None]:
    """The listener that a store calls after each checkpoint, in a thread.

    Without a *tally* (a command's own store) it does nothing.
    """
    if tally is None:
        return lambda checkpoint: None
    loop, counted = asyncio.get_running_loop(), Checkpoints(tally)

    def notify(checkpoint: Checkpoint) -> None:
        if not loop.is_closed():  # a worker that stops waits for the thread
            loop.call_soon_threadsafe(counted.count, checkpoint)

    return notify


class Checkpoints:
    """The checkpoints of one worker, counted in *tally*."""

    def __init__(self, tally: Tally) -> None:
        self._tally, self._fails = tally, False

    def count(self, checkpoint: Checkpoint) -> None:
        """Counts a checkpoint, made or failed."""
        self._tally.log_bytes = checkpoint.log_bytes
        fails = checkpoint.problem is not None
        self._tally.checkpoints_failed += fails
        if fails and not self._fails:
            log.warning("checkpoint_failed", problem=checkpoint.problem, log_bytes=checkpoint.log_bytes)
        elif self._fails and not fails:
            log.info("checkpoint_mended", log_bytes=checkpoint.log_bytes)
        self._fails = fails
