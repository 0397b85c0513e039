"""The distributed store: one Valkey or Redis server, a cluster of them, or a primary that sentinels watch."""

from streamlimit.store.valkey.checkup import check
from streamlimit.store.valkey.feed import ValkeyFeed
from streamlimit.store.valkey.outbox import ValkeyOutbox
from streamlimit.store.valkey.reporting import ValkeyReports
from streamlimit.store.valkey.store import ValkeyStore

__all__ = ["ValkeyFeed", "ValkeyOutbox", "ValkeyReports", "ValkeyStore", "check"]
