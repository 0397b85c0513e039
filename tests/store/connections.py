"""SQLite's connections: those of a store, for tests that watch or hinder it, and another one to the same file."""

import sqlite3

from streamlimit.store.sqlite.connection import Connection

Opened = list[Connection]


def beside(path: str) -> sqlite3.Connection:
    """Another connection to the file, as another process has one. Each statement is a transaction."""
    return sqlite3.connect(path, isolation_level=None)
