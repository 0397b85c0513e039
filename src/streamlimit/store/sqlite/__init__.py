"""The embedded store: one file, any number of processes on one machine."""

from streamlimit.store.sqlite.backup import back_up
from streamlimit.store.sqlite.feed import SqliteFeed, open_patient_feed
from streamlimit.store.sqlite.lazy_store import opened
from streamlimit.store.sqlite.outbox import SqliteOutbox, open_patient_outbox
from streamlimit.store.sqlite.reporting import SqliteReports, open_patient_reports
from streamlimit.store.sqlite.store import SqliteStore

__all__ = [
    "SqliteFeed",
    "SqliteOutbox",
    "SqliteReports",
    "SqliteStore",
    "back_up",
    "open_patient_feed",
    "open_patient_outbox",
    "open_patient_reports",
    "opened",
]
