"""`streamlimit serve` and `demo`: checks before the start, the printed lines, and the server."""

import asyncio
import secrets
import sys
from importlib.resources import files

from streamlimit import __version__
from streamlimit.bootstrap.edge_log import check_edge_log
from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.webhooks import open_endpoints
from streamlimit.cli.security import security
from streamlimit.server import bind, run
from streamlimit.settings import OperatorKey, Settings, notes_on_variables
from streamlimit.store.contract import resolved

DEMO = {"segment_seconds": 2, "max_sessions": 3, "auth": "open"}


def serve(settings: Settings, page: str = "") -> None:
    """Serves until a signal says stop. *page*: the path of a page to be printed with the address."""
    listening = bind(settings.listen)  # before anything is made or announced: a port may be taken
    settings = _with_a_key(settings)
    for note in notes_on_variables():
        print(f"note: {note}", file=sys.stderr)
    check_edge_log(settings)
    open_endpoints(settings)  # one that may not be called stops the start
    asyncio.run(_open(settings))  # a store that cannot be opened stops the start; an unavailable one does not
    print(security(settings))
    run(settings, listening, lambda where: print(f"streamlimit {__version__} on {where}{page}", flush=True))


def demo(settings: Settings) -> None:
    """As `serve`, with sample streams and a shorter X, unless the settings name others."""
    samples = {"streams": str(files("streamlimit").joinpath("samples"))}
    serve(settings.made_for_this_run(DEMO | samples), "/watch")


def _with_a_key(settings: Settings) -> Settings:
    """The settings with an operator key made for this run, where access is open on this machine and none is set."""
    if settings.operator_keys or not settings.is_loopback:
        return settings
    key = "op-" + secrets.token_urlsafe(18)
    print(f"operator key (made for this run): {key}")
    return settings.made_for_this_run({"operator_keys": [OperatorKey(hash=key)]})


async def _open(settings: Settings) -> None:
    await resolved(engine_of(settings).store(settings.policy()).close())
