"""The recorder of the feed and the histories, for a service or a command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.listeners import joined
from streamlimit.feed.recorder import Recorder
from streamlimit.limiter import Limiter
from streamlimit.logs import EventLog, announce
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved

log = EventLog("streamlimit")


def open_recorder(settings: Settings, serves: bool = False) -> Recorder:
    """The recorder, which writes this process's events to the feed; *serves* as in `Engine`."""
    return Recorder(engine_of(settings).feed(serves), log)


def recording_limiter(settings: Settings, recorder: Recorder) -> Limiter:
    """A limiter without a service, whose events go to the log and the feed."""
    return Limiter(engine_of(settings).store(settings.policy()), joined(announce, recorder))


@asynccontextmanager
async def opened_limiter(settings: Settings) -> AsyncIterator[Limiter]:
    """A context with a limiter whose events are recorded."""
    recorder = open_recorder(settings)
    try:
        limiter = recording_limiter(settings, recorder)
        try:
            yield limiter
        finally:
            await resolved(limiter.store.close())
    finally:
        await recorder.finish()
