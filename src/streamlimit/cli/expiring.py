"""`streamlimit expire`: Endpoint 2's work, once."""

import math
from functools import partial
from typing import Any

from streamlimit.cli.flags import Where
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.remote import Remote
from streamlimit.errors import SettingsError
from streamlimit.limiter import Limiter
from streamlimit.store.contract import resolved
from streamlimit.sweeper import expire_once


def expire(where: Where, max_seconds: float | None) -> None:
    """Sweeps, within *max_seconds* if given. Exit code 3: more is due."""
    if max_seconds is not None and not 0 < max_seconds < math.inf:
        raise SettingsError("--max-seconds", "give a number of seconds above 0")
    done = where.sweep(max_seconds) if isinstance(where, Remote) else on_limiter(where, partial(_sweep, max_seconds))
    counts = f"expired {done['expired']}, abandoned {done['abandoned']}"
    print(f"{counts}, webhooks pending {done['callbacks_pending']}")
    if not done["finished"]:
        raise SystemExit(3)


async def _sweep(max_seconds: float | None, limiter: Limiter) -> dict[str, Any]:
    """The document of Endpoint 2's answer."""
    sweep = await expire_once(limiter, max_seconds)
    done = {"expired": sweep.expired, "abandoned": sweep.abandoned, "finished": sweep.finished}
    return done | {"callbacks_pending": await resolved(limiter.store.pending())}
