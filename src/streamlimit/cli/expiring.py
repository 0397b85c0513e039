"""`streamlimit expire`: Endpoint 2's work, once."""

import math

from streamlimit.cli.limiter import on_limiter
from streamlimit.errors import SettingsError
from streamlimit.limiter import Limiter
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.sweeper import expire_once


def expire(settings: Settings, max_seconds: float | None) -> None:
    """Within *max_seconds*, where it is given. Exit code 3: more is due."""
    if max_seconds is not None and not 0 < max_seconds < math.inf:
        raise SettingsError("--max-seconds", "give a number of seconds above 0")

    async def work(limiter: Limiter) -> None:
        sweep = await expire_once(limiter, max_seconds)
        pending = await resolved(limiter.store.pending())
        print(f"expired {sweep.expired}, abandoned {sweep.abandoned}, webhooks pending {pending}")
        if not sweep.finished:
            raise SystemExit(3)

    on_limiter(settings, work)
