"""`streamlimit serve` and `demo`: what is printed before the server starts, and what stops it."""

import asyncio
import secrets
import sys
from importlib.resources import files

from streamlimit import __version__
from streamlimit.bootstrap.store import open_limiter
from streamlimit.bootstrap.webhooks import open_endpoints
from streamlimit.cli.security import security
from streamlimit.server import bind, run
from streamlimit.settings import OperatorKey, Settings, notes_on_variables
from streamlimit.store.contract import resolved

DEMO = {"segment_seconds": 2, "max_sessions": 3, "auth": "open"}


def serve(settings: Settings, page: str = "") -> None:
    """Until a signal says stop. *page*: what of it to open in a browser."""
    listening = bind(settings.listen)  # before anything is made or announced: a port may be taken
    settings = _with_a_key(settings)
    for note in notes_on_variables():
        print(f"note: {note}", file=sys.stderr)
    open_endpoints(settings)  # one that may not be called stops the start
    asyncio.run(_open(settings))  # a store that cannot be opened stops the start; an unavailable one does not
    print(security(settings))
    run(settings, listening, lambda where: print(f"streamlimit {__version__} on {where}{page}", flush=True))


def demo(settings: Settings) -> None:
    """As `serve`, with samples, and with a shorter X, where the settings say nothing else."""
    samples = {"streams": str(files("streamlimit").joinpath("samples"))}
    serve(settings.made_for_this_run(DEMO | samples), "/watch")


def _with_a_key(settings: Settings) -> Settings:
    """On this machine the operator needs no key of their own: one is made for this run."""
    if settings.operator_keys or not settings.is_loopback:
        return settings
    key = "op-" + secrets.token_urlsafe(18)
    print(f"operator key (made for this run): {key}")
    return settings.made_for_this_run({"operator_keys": [OperatorKey(hash=key)]})


async def _open(settings: Settings) -> None:
    await resolved(open_limiter(settings).store.close())
