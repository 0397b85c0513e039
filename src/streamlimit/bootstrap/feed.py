"""The feed and the histories: where they are kept, and what writes and reads them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamlimit.bootstrap.store import is_sqlite, open_file, open_store, sqlite_path
from streamlimit.feed.recorder import Recorder
from streamlimit.limiter import Limiter
from streamlimit.logs import EventLog, announce
from streamlimit.model import Event
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.store.feed import Feed

log = EventLog("streamlimit")


def open_feed(settings: Settings, serves: bool = False) -> Feed:
    """The feed of the store that the settings name; the rest as in `open_store`."""
    if not is_sqlite(settings):
        from streamlimit.store.valkey import ValkeyFeed

        return ValkeyFeed(settings.store, settings.history_events)
    from streamlimit.store.sqlite import open_patient_feed

    path, most = sqlite_path(settings), settings.history_events
    return open_file(lambda: open_patient_feed(path, most), serves)


def open_recorder(settings: Settings, serves: bool = False) -> Recorder:
    """The recorder, which writes this process's events to the feed."""
    return Recorder(open_feed(settings, serves), log)


def recording_limiter(settings: Settings, recorder: Recorder) -> Limiter:
    """A limiter without a service; what it does is told to the feed, too."""

    def tell(event: Event) -> None:
        announce(event)
        recorder(event)

    return Limiter(open_store(settings, settings.policy()), tell)


@asynccontextmanager
async def opened_limiter(settings: Settings) -> AsyncIterator[Limiter]:
    """A limiter for as long as the block lasts."""
    recorder = open_recorder(settings)
    try:
        limiter = recording_limiter(settings, recorder)
        try:
            yield limiter
        finally:
            await resolved(limiter.store.close())
    finally:
        await recorder.finish()
