"""Every policy at the limit, in a race of eight processes: never over, and exactly one gives way for one that comes."""

from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import OverLimit, Policy
from streamlimit.store.sqlite import SqliteStore
from tests.store.writers import SPAWN, answers, start

PROCESSES, USERS, SEATS = 8, 25, 3
X, N = 10_000, 3
BEGAN = 1_750_000_000_000
LATER = BEGAN + (N - 1) * X
"""Who sits has been silent for (n-1)·X: a victim of every policy, and not expired."""


def _open_sqlite(where: str, policy: Policy, now_ms: int) -> Any:
    return SqliteStore(where, policy, clock=lambda: now_ms)


OPENERS: dict[str, Callable[[str, Policy, int], Any]] = {"sqlite": _open_sqlite}
"""By name, for the processes: add a store here and its place to `where`."""


def _policy(over_limit: OverLimit) -> Policy:
    return Policy(max_sessions=SEATS, segment_ms=X, missed_segments=N, start_ms=X, over_limit=over_limit)


def _sit(name: str, where: str, policy: Policy) -> None:
    store = OPENERS[name](where, policy, BEGAN)
    for user in range(USERS):
        for n in range(SEATS):
            answer = store.admit(Ask(f"u{user}", f"sit-{n}", "news", lease_id=f"l{n}", device=f"tv-{n}"))
            store.confirm(Receipt(answer.lease))
    store.close()


def come(where: str, pipe: Connection, name: str, number: int, barrier: Any, over_limit: OverLimit, how: str) -> None:
    """One process: asks for a seat of every user. Sends how often it was admitted, and who gave way for it."""
    store = OPENERS[name](where, _policy(over_limit), LATER)
    admitted, gone = [0] * USERS, [0] * USERS
    for user in range(USERS):
        replace = {"same": "sit-0", "each": f"sit-{number % SEATS}"}.get(how)
        device = f"tv-{number % SEATS}" if how == "device" else f"new-{number}"
        ask = Ask(f"u{user}", f"p{number}", "news", lease_id=f"p{number}", device=device, replace=replace)
        barrier.wait(60)
        answer = store.admit(ask)
        if isinstance(answer, Admitted):
            admitted[user] += 1
            gone[user] += sum(event.type == "session.terminated" for event in answer.events)
    pipe.send((admitted, gone))


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize(
    ("over_limit", "how", "come_in"),
    [
        (OverLimit.REFUSE, "ask", 0),
        (OverLimit.REPLACE_IDLE, "ask", SEATS),  # newcomers are not idle
        (OverLimit.REPLACE_OLDEST, "ask", PROCESSES),  # each takes the oldest seat, be it a newcomer's
        (OverLimit.REFUSE, "same", 1),  # the one that was named gives way once
        (OverLimit.REFUSE, "each", SEATS),
        (OverLimit.REFUSE, "device", SEATS),  # a device gets its own silent seat back, once
    ],
)
def test_of_eight_at_once(tmp_path: Path, name: str, over_limit: OverLimit, how: str, come_in: int) -> None:
    where = str(tmp_path / "streamlimit.db")
    _sit(name, where, _policy(over_limit))
    barrier = SPAWN.Barrier(PROCESSES)
    running = [start(come, where, name, number, barrier, over_limit, how) for number in range(PROCESSES)]
    told = answers(running)
    store = OPENERS[name](where, _policy(over_limit), LATER)
    for user in range(USERS):
        assert sum(admitted[user] for admitted, _ in told) == come_in
        assert sum(gone[user] for _, gone in told) == come_in, "one for one"
        assert store.sessions(f"u{user}").live == SEATS, "never over"
    store.close()
