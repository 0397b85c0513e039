"""The recorder of the feed and the histories, for a service or a command."""

from streamlimit.bootstrap.engine import engine_of
from streamlimit.feed.recorder import Recorder
from streamlimit.limiter import Limiter, joined
from streamlimit.logs import EventLog, announce
from streamlimit.settings import Settings

log = EventLog("streamlimit")


def open_recorder(settings: Settings, serves: bool = False) -> Recorder:
    """The recorder, which writes this process's events to the feed; *serves* as in `Engine`."""
    return Recorder(engine_of(settings).feed(serves), log)


def recording_limiter(settings: Settings, recorder: Recorder) -> Limiter:
    """A limiter without a service, whose events go to the log and the feed."""
    return Limiter(engine_of(settings).store(settings.policy()), joined(announce, recorder))
