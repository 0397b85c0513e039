"""`streamlimit expire`: Endpoint 2's work, once."""

import math
from typing import Any

from streamlimit.cli.flags import Where
from streamlimit.cli.limiter import on_limiter
from streamlimit.cli.remote import Remote
from streamlimit.errors import SettingsError
from streamlimit.limiter import Limiter
from streamlimit.store.contract import resolved
from streamlimit.sweeper import expire_once


def expire(where: Where, max_seconds: float | None) -> None:
    """Within *max_seconds*, where it is given. Exit code 3: more is due."""
    if max_seconds is not None and not 0 < max_seconds < math.inf:
        raise SettingsError("--max-seconds", "give a number of seconds above 0")
    if isinstance(where, Remote):
        _print(where.sweep(max_seconds))
        return

    async def work(limiter: Limiter) -> None:
        sweep = await expire_once(limiter, max_seconds)
        pending = await resolved(limiter.store.pending())
        done = {"expired": sweep.expired, "abandoned": sweep.abandoned, "callbacks_pending": pending}
        _print(done | {"finished": sweep.finished})

    on_limiter(where, work)


def _print(done: dict[str, Any]) -> None:
    counts = f"expired {done['expired']}, abandoned {done['abandoned']}"
    print(f"{counts}, webhooks pending {done['callbacks_pending']}")
    if not done["finished"]:
        raise SystemExit(3)
