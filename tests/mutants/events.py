"""Mutants of the feed, the histories, and who listens."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "a place that the feed never had is taken for the newest",
        "streamlimit/store/sqlite/feed.py",
        "is_whole = (oldest, 0) <= after <= (last, 0)",
        "is_whole = (oldest, 0) <= after",
        ("tests/store/test_sqlite_feed.py",),
    ),
    Mutant(
        "a listener from beyond what is kept is not told",
        "streamlimit/store/valkey/feed.lua",
        "and not (is_cut and is_before(ARGV[1], newest))",
        "",
        ("tests/store/test_valkey_feed.py",),
    ),
    Mutant(
        "who is forgotten stays in the feed",
        "streamlimit/store/valkey/feed.py",
        'await self._ask(FEED_SHARD, "XDEL", self._keys.feed, *gone)',
        "pass",
        ("tests/store/test_valkey_feed.py",),
    ),
    Mutant(
        "a refusal is told to the feed by each worker",
        "streamlimit/store/valkey/told.lua",
        "if till and tonumber(till) > now then return nil end",
        "",
        ("tests/store/test_valkey_feed.py",),
    ),
    Mutant(
        "a listener that is too far behind is given what is left",
        "streamlimit/feed/listener.py",
        "if self._place < window.start:",
        "if False:",
        ("tests/feed",),
    ),
    Mutant(
        "events go while the store is away",
        "streamlimit/feed/recorder.py",
        "self._events.extendleft(reversed(left))",
        "pass",
        ("tests/feed",),
    ),
    Mutant(
        "the feed is read though nobody listens",
        "streamlimit/feed/hub.py",
        "self._wanted.clear()",
        "pass",
        ("tests/feed",),
    ),
    Mutant(
        "a listener is not told that the service stops",
        "streamlimit/web/events.py",
        'listener.last_word("shutdown") if stopping.done() else await listener.take()',
        "await listener.take()",
        ("tests/web/test_events_end.py",),
    ),
]
