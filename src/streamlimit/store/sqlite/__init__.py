"""The embedded store: one file, any number of processes on one machine."""

from streamlimit.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
