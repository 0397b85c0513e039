"""The embedded store: one file, any number of processes on one machine."""

from streamlimit.store.sqlite.backup import back_up
from streamlimit.store.sqlite.feed import SqliteFeed
from streamlimit.store.sqlite.lazy_store import opened
from streamlimit.store.sqlite.outbox import SqliteOutbox
from streamlimit.store.sqlite.patience import patient
from streamlimit.store.sqlite.reporting import SqliteReports
from streamlimit.store.sqlite.store import SqliteStore

__all__ = ["SqliteFeed", "SqliteOutbox", "SqliteReports", "SqliteStore", "back_up", "opened", "patient"]
