"""Sessions while workers are killed and the receiver misbehaves: nothing lost, order kept.

`make soak` takes 2,000, and a cluster.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from streamlimit.settings import EVENT_TYPES
from streamlimit.store.sqlite import SqliteOutbox, SqliteStore
from streamlimit.store.valkey import ValkeyOutbox, ValkeyStore
from tests.webhooks import crew
from tests.webhooks.faults import Down, Moody, Run, check
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.timeout(300)  # the waits in faults.py end before, and say what is missing

TYPES = frozenset(EVENT_TYPES)
PATIENT = 5.0


def open_sqlite(path: str) -> crew.Opened:
    return SqliteStore(path, crew.POLICY, TYPES), SqliteOutbox(path, {"hook": EVENT_TYPES})


def open_valkey(url: str, prefix: str) -> crew.Opened:
    outbox = ValkeyOutbox(url, {"hook": EVENT_TYPES}, prefix=prefix, timeout=PATIENT)
    return ValkeyStore(url, crew.POLICY, TYPES, prefix=prefix, timeout=PATIENT), outbox


USERS = 40


def test_sessions_on_sqlite_lose_no_call_back(tmp_path: Path) -> None:
    run_with_faults(partial(open_sqlite, str(tmp_path / "streamlimit.db")), USERS)


def test_sessions_on_valkey_lose_no_call_back(valkey_url: str) -> None:
    run_with_faults(partial(open_valkey, valkey_url, f"test-{uuid4().hex[:8]}"), USERS)


def run_with_faults(open_parts: Callable[[], crew.Opened], users: int) -> None:
    """Four sessions of each user by two workers, four kills.

    The receiver is down for a while, answers 500, 429 and 503, hangs, dawdles, cuts.
    """
    sessions = 4 * users
    with Receiver() as receiver:
        receiver.answer = moody = Moody()
        run, down = Run(open_parts, receiver, users), Down(receiver, after=sessions // 2, seconds=1.5)
        try:
            run.go(kill_after=[round(sessions * part) for part in (0.15, 0.45, 0.95, 1.6)])
            asyncio.run(run.settle(open_parts()[1]))
        finally:
            run.stop()
        times = check(receiver, run.acknowledged)
    assert run.kills == 4
    assert down.happened
    assert min(moody.said[mood] for mood in ("500", "slow", "hangs", "cut")) > 0
    assert moody.said["429"] + moody.said["503"] == 6
    assert sum(1 for told in run.acknowledged if told[2] == "started") >= sessions - 50  # those killed in between aside
    again = sum(times.values()) - len(times)
    assert again <= 32 * run.kills + 2 * moody.said["hangs"] + 32  # what was on the way, and no more
