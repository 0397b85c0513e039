"""Every policy at the limit, in a race of eight processes: never over, and exactly one gives way for one that comes."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import OverLimit, Policy
from streamlimit.store.contract import Store, resolved
from streamlimit.store.sqlite import SqliteStore
from streamlimit.store.valkey import ValkeyStore
from tests import servers
from tests.processes import FORKED
from tests.store.writers import answers, start

PROCESSES, USERS, SEATS = 8, 10, 3
X, N = 10_000, 3
BEGAN = 1_750_000_000_000
LATER = BEGAN + (N - 1) * X
"""Who sits has been silent for (n-1)·X: a victim of every policy, and not expired."""

PATIENT = 30.0
"""Seconds an answer may take: this machine is shared."""

SITTING = {f"sit-{n}" for n in range(SEATS)}


@dataclass(frozen=True)
class Case:
    """Eight ask at once, for another seat than the others where `named` or `device` say so; `come_in` get one."""

    over_limit: OverLimit
    come_in: int
    named: str = "nobody"
    has_device: bool = False

    def ask(self, user: str, number: int) -> Ask:
        """What process *number* asks for."""
        replace = {"nobody": None, "one": "sit-0", "each": f"sit-{number % SEATS}"}[self.named]
        device = f"tv-{number % SEATS}" if self.has_device else f"new-{number}"
        return Ask(user, f"p{number}", "news", lease_id=f"p{number}", device=device, replace=replace)

    def policy(self) -> Policy:
        return Policy(max_sessions=SEATS, segment_ms=X, missed_segments=N, start_ms=X, over_limit=self.over_limit)


CASES = {
    "refuse": Case(OverLimit.REFUSE, 0),
    "replace-idle": Case(OverLimit.REPLACE_IDLE, SEATS),  # newcomers are not idle
    "replace-oldest": Case(OverLimit.REPLACE_OLDEST, PROCESSES),  # each takes the oldest seat, be it a newcomer's
    "replace-one-by-name": Case(OverLimit.REFUSE, 1, named="one"),  # it gives way once
    "replace-each-by-name": Case(OverLimit.REFUSE, SEATS, named="each"),
    "reclaim-device": Case(OverLimit.REFUSE, SEATS, has_device=True),  # a device gets its own silent seat back, once
}


@dataclass(frozen=True)
class Told:
    """What one process heard when it asked: did it come in, who gave way for it, how many sat after that?"""

    session: str
    came_in: bool
    gone: list[str]
    live: int


# Where the race is


@contextmanager
def _file(folder: Path) -> Iterator[str]:
    yield str(folder / "streamlimit.db")


@contextmanager
def _redis(_folder: Path) -> Iterator[str]:
    with servers.single("redis") as server:
        yield server.url


@contextmanager
def _valkey(_folder: Path) -> Iterator[str]:
    with servers.single("valkey") as server:
        yield server.url


PLACES = {"sqlite": _file, "redis": _redis, "valkey": _valkey}


def _open(where: str, policy: Policy, now_ms: int) -> Any:
    """A store whose clock stands still at *now_ms*, in this process as in all others."""

    def clock() -> int:
        return now_ms

    if where.startswith("valkey"):
        return ValkeyStore(where, policy, clock=clock, timeout=PATIENT)
    return SqliteStore(where, policy, clock=clock)


def _user(name: str, number: int) -> str:
    """Every case has users of its own."""
    return f"{name}-{number}"


# The race


def come(places: dict[str, str], pipe: Connection, number: int, barrier: Any) -> None:
    """One process: asks for a seat of every user of every case when all others do, at each of the *places*."""

    async def heard(where: str, name: str, case: Case) -> list[Told]:
        store: Store = _open(where, case.policy(), LATER)
        await resolved(store.ping())  # connections are there before the race
        told = []
        for user in range(USERS):
            ask = case.ask(_user(name, user), number)
            barrier.wait(60)
            told.append(_told(ask, await resolved(store.admit(ask))))
        await resolved(store.close())
        return told

    pipe.send(
        {
            (place, name): asyncio.run(heard(where, name, case))
            for place, where in places.items()
            for name, case in CASES.items()
        }
    )


def _told(ask: Ask, answer: Any) -> Told:
    came_in = isinstance(answer, Admitted)
    events = answer.events if came_in else ()
    gone = [event.session.session_id for event in events if event.type == "session.terminated"]
    return Told(ask.session_id, came_in, gone, answer.live)


async def _sit(where: str, name: str, case: Case) -> None:
    store: Store = _open(where, case.policy(), BEGAN)
    for user in range(USERS):
        for n in range(SEATS):
            ask = Ask(_user(name, user), f"sit-{n}", "news", lease_id=f"l{n}", device=f"tv-{n}")
            answer = await resolved(store.admit(ask))
            assert isinstance(answer, Admitted)
            assert answer.lease is not None
            await resolved(store.confirm(Receipt(answer.lease)))
    await resolved(store.close())


async def _seats(where: str, name: str, case: Case) -> list[set[str]]:
    """Who sits, by user."""
    store: Store = _open(where, case.policy(), LATER)
    rosters = [await resolved(store.sessions(_user(name, user))) for user in range(USERS)]
    await resolved(store.close())
    return [{session.session_id for session in roster.sessions} for roster in rosters]


Outcome = tuple[list[list[Told]], list[set[str]]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Outcome]]:
    """Of each place and case, by user: what all heard, and who sits.

    All are run one after the other by the same processes: starting processes is slow.
    """
    with ExitStack() as running:
        folder = tmp_path_factory.mktemp("race")
        places = {}
        for name, open_place in PLACES.items():
            with suppress(pytest.skip.Exception):  # the tests of that place say so
                places[name] = running.enter_context(open_place(folder))
        races = [(place, name) for place in places for name in CASES]
        for place, name in races:
            asyncio.run(_sit(places[place], name, CASES[name]))
        barrier = FORKED.Barrier(PROCESSES)
        heard = answers([start(come, places, number, barrier) for number in range(PROCESSES)])
        yield {
            race: (
                [list(told) for told in zip(*(each[race] for each in heard), strict=True)],
                asyncio.run(_seats(places[race[0]], race[1], CASES[race[1]])),
            )
            for race in races
        }


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CASES)
def test_of_eight_at_once(outcomes: dict[tuple[str, str], Outcome], place: str, name: str) -> None:
    if place != "sqlite":
        servers.binary(place)
    for told, seats in zip(*outcomes[place, name], strict=True):
        new = {each.session for each in told if each.came_in}
        gone = [session for each in told for session in each.gone]
        assert len(new) == CASES[name].come_in
        assert all(len(each.gone) == each.came_in for each in told), "one for one"
        assert len(set(gone)) == len(gone), "nobody gives way twice"
        assert seats == (SITTING | new) - set(gone), "who gave way is gone, and nobody else"
        assert {each.live for each in told} == {len(seats)} == {SEATS}, "never over"
