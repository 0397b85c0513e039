"""2,000 sessions on SQLite while workers are killed and the receiver misbehaves: nothing lost, order kept."""

from functools import partial
from pathlib import Path

from streamlimit.settings import EVENT_TYPES
from streamlimit.store.sqlite import SqliteOutbox, SqliteStore
from tests.callbacks import crew
from tests.callbacks.faults import Down, Moody, Run, check
from tests.callbacks.receiver import Receiver


def open_sqlite(path: str) -> crew.Opened:
    return SqliteStore(path, crew.POLICY, frozenset(EVENT_TYPES)), SqliteOutbox(path, {"hook": EVENT_TYPES})


def test_2000_sessions_lose_no_call_back_while_workers_are_killed_and_the_receiver_misbehaves(tmp_path: Path) -> None:
    open_parts = partial(open_sqlite, str(tmp_path / "streamlimit.db"))
    _, outbox = open_parts()
    with Receiver() as receiver:
        receiver.answer = moody = Moody()
        run, down = Run(open_parts, receiver, users=500), Down(receiver, after=1_000, seconds=1.5)
        try:
            run.go(kill_after=[400, 900, 1_600, 2_500])
            run.settle(outbox)
        finally:
            run.stop()
        times = check(receiver, run.acknowledged)
    assert run.kills == 4
    assert down.happened
    assert min(moody.said[mood] for mood in ("500", "slow", "hangs", "cut")) > 0
    assert moody.said["429"] + moody.said["503"] == 6
    assert sum(1 for told in run.acknowledged if told[2] == "started") >= 1_950  # those killed in between aside
    again = sum(times.values()) - len(times)
    assert again <= 32 * run.kills + 2 * moody.said["hangs"] + 32  # what was on the way, and no more
