"""`streamlimit serve` and `demo`: what is told before the server starts, and what stops it."""

import secrets
import sys
from importlib.resources import files

from pydantic import SecretStr

from streamlimit import __version__
from streamlimit.bootstrap.callbacks import open_endpoints
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.security import security
from streamlimit.limiter import Limiter
from streamlimit.server import run
from streamlimit.settings import Settings, unknown_variables

DEMO = {"segment_seconds": 2, "max_sessions": 3, "auth": "open"}


def serve(settings: Settings, page: str = "") -> None:
    """Until a signal says stop. *page*: what of it to open in a browser."""
    settings = _with_a_key(settings)
    for name in unknown_variables():
        print(f"note: {name} is no setting", file=sys.stderr)
    open_endpoints(settings)  # one that may not be called stops the start
    on_limiter(settings, _nothing)  # a store that cannot be opened stops the start; one that is away does not
    print(security(settings))
    run(settings, lambda where: print(f"streamlimit {__version__} on {where}{page}", flush=True))


def demo(settings: Settings) -> None:
    """The same with samples, and quicker, where the settings say nothing else."""
    samples = {"streams": str(files("streamlimit").joinpath("samples"))}
    serve(settings.made_for_this_run(DEMO | samples), "/watch")


def _with_a_key(settings: Settings) -> Settings:
    """On this machine the operator needs no key of their own: one is made for this run."""
    if settings.operator_keys or not settings.is_loopback:
        return settings
    key = "op-" + secrets.token_urlsafe(18)
    print(f"operator key (made for this run): {key}")
    return settings.made_for_this_run({"operator_keys": [SecretStr(key)]})


async def _nothing(_limiter: Limiter) -> None:
    """Opening was all."""
