"""Overlapping requests of one session, in every order of admit, receipt, hang-up, end and move (rule 3).

`Model` says what rule 3 says, in its own words; after each step the service must say the same.
"""

import time
from collections.abc import Iterator
from itertools import count, permutations, product
from typing import Any

import pytest

from tests.e2e.clients import Client, connected, endpoint
from tests.service import OPERATOR_KEY, Service, started
from tests.streams import BIG, make_stream

Step = tuple[str, int]
"""What happens to which request: "admit", "receipt", "hang-up"; "end" and "terminate" are the session's (-1)."""
Orders = list[list[Step]]

SETTLED = b"OPTIONS / HTTP/1.1\r\nHost: t\r\n\r\n"
"""A request's answer on the same connection says that the one before is settled."""
_users = count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """X is so long that time plays no part."""
    folder = tmp_path_factory.mktemp("overlaps")
    make_stream(folder / "streams", "a", 8, BIG)
    make_stream(folder / "streams", "b", 8, BIG)
    with started(folder, streams=str(folder / "streams"), segment_seconds=60) as running:
        yield running


class Model:
    """One session by rule 3: `seat` is None or its generation, move number, stream, segment and open leases."""

    def __init__(self, streams: str) -> None:
        self._streams = streams
        self._generations = count(1)
        self._leases: dict[int, tuple[int, int, int]] = {}
        self._is_terminated = False
        self.seat: dict[str, Any] | None = None
        self.receipts = 0
        """How many counted: each is an activity, nothing else is one."""

    def admit(self, n: int) -> bool:
        """Is the request issued its segment? Who is terminated is not; who has no seat reserves one."""
        if self._is_terminated:
            return False
        if self.seat is None:
            self.seat = {"generation": next(self._generations), "move": 0, "open": set()}
            self.seat |= {"stream": self._streams[n], "segment": None, "placed_by": -1}
        self.seat["open"].add(n)
        self._leases[n] = (self.seat["generation"], self.seat["move"], len(self._leases))
        return True

    def receipt(self, n: int) -> None:
        """For another generation it does nothing; with an old move number it is activity, and no move back.

        Nor does it move the position back within a stream: of two requests the one admitted later says where it is.
        """
        generation, move, turn = self._leases[n]
        if self.seat is None or self.seat["generation"] != generation:
            return
        self.receipts += 1
        self.seat["open"].discard(n)
        self.seat["is_active"] = True
        if self.seat["move"] == move:
            if self.seat["stream"] != self._streams[n]:
                self.seat |= {"move": move + 1, "stream": self._streams[n], "placed_by": -1}
            if turn > self.seat["placed_by"]:
                self.seat |= {"segment": f"{n + 1}.ts", "placed_by": turn}

    def hang_up(self, n: int) -> None:
        """A reservation is given back when none of its leases is left; nothing happens to a real session."""
        if self.seat is None or self.seat["generation"] != self._leases[n][0]:
            return
        self.seat["open"].discard(n)
        if not self.seat["open"] and "is_active" not in self.seat:
            self.seat = None

    def end(self, terminated: bool) -> None:
        """The seat is free at once; who sat and was terminated stays out."""
        self._is_terminated = self._is_terminated or (terminated and self.seat is not None)
        self.seat = None

    def shown(self) -> tuple[Any, ...] | None:
        """What who-is-watching must say."""
        if self.seat is None:
            return None
        return "active" if "is_active" in self.seat else "starting", self.seat["stream"], self.seat["segment"]


class Play:
    """Does to the service what the model is told. `streams[n]` is what request n asks for."""

    def __init__(self, service: Service, observer: Client, streams: str, is_sitting: bool) -> None:
        self._service, self._observer, self._streams = service, observer, streams
        self._user = f"user-{next(_users)}"
        self._clients: dict[int, tuple[Client, int]] = {}
        self._model = Model(streams + streams[0])
        self._counted, self._activity = 0, None
        if is_sitting:  # by a request of the first one's stream, one more than there are
            self._act("admit", len(streams))
            self._act("receipt", len(streams))

    def run(self, order: list[Step]) -> None:
        """All steps, each compared."""
        try:
            for step in order:
                self._act(*step)
                self._compare(order, step)
        finally:
            for client, _ in self._clients.values():
                client.close()

    def _act(self, what: str, n: int) -> None:
        if what == "admit":
            self._admit(n)
        elif what in ("end", "terminate"):
            key = OPERATOR_KEY if what == "terminate" else None
            credential = f"Authorization: Bearer {key}\r\n" if key else ""
            path = f"/v1/users/{self._user}/sessions/tv"
            self._observer.send(f"DELETE {path} HTTP/1.1\r\nHost: t\r\n{credential}\r\n".encode()).head()
            self._model.end(what == "terminate")
        elif n in self._clients:
            self._settle(what, *self._clients.pop(n), n)

    def _admit(self, n: int) -> None:
        await_next_millisecond()
        client = Client(self._service.port)
        stream = (self._streams + self._streams[0])[n]
        head = client.send(endpoint(self._user, "tv", stream, f"{n + 1}.ts")).head()
        if self._model.admit(n):
            assert head.status == 200
            self._clients[n] = client, head.length
        else:
            assert head.status == 410
            client.close()

    def _settle(self, what: str, client: Client, length: int, n: int) -> None:
        if what == "receipt":
            assert client.read(length) == length
            client.send(SETTLED).answer()
            client.close()
            return self._model.receipt(n)
        (client.reset if n % 2 else client.close)()
        self._model.hang_up(n)
        for _ in range(3):  # turns of the server's loop: it has seen the hang-up by then
            self._observer.send(SETTLED).answer()

    def _compare(self, order: list[Step], step: Step) -> None:
        deadline = time.monotonic() + 2
        while (found := self._shown())[0] != self._model.shown() and time.monotonic() < deadline:
            pass
        assert found[0] == self._model.shown(), (self._streams, order, step)
        if self._model.seat is not None:
            is_new = found[1] != self._activity
            assert is_new <= (self._counted != self._model.receipts), (self._streams, order, step)
            self._activity, self._counted = found[1], self._model.receipts
        else:
            self._activity = None

    def _shown(self) -> tuple[tuple[Any, ...] | None, str | None]:
        tv = self._observer.watching(self._user).get("tv")
        if tv is None:
            return None, None
        return (tv["state"], tv["stream_id"], tv["segment"]), tv["last_activity_at"]


def await_next_millisecond() -> None:
    """The store tells admissions apart by their milliseconds."""
    began = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    while time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 == began:
        pass


def orders_of(requests: int) -> Orders:
    """Every order of the requests' admissions and outcomes, with every choice of outcomes."""
    slots = [n for n in range(requests) for _ in range(2)]
    orders = []
    for order in sorted(set(permutations(slots))):
        for outcomes in product(("receipt", "hang-up"), repeat=requests):
            seen: set[int] = set()
            orders.append([(outcomes[n] if n in seen else (seen.add(n), "admit")[1], n) for n in order])
    return orders


def with_departure(orders: Orders, places: int) -> Orders:
    """Each order with an end or a termination (by turns) after *places* of its steps (by turns)."""
    found = []
    for number, order in enumerate(orders):
        for place in range(number, number + places):
            word, at = ("end", "terminate")[(number + place // len(order)) % 2], place % len(order) + 1
            found.append([*order[:at], (word, -1), *order[at:]])
    return found


def play_all(service: Service, orders: Orders, streams: str, is_sitting: bool) -> None:
    with connected(service.port) as observer:
        for order in orders:
            Play(service, observer, streams, is_sitting).run(order)


two_or_one_stream = pytest.mark.parametrize("streams", ["aa", "ab"], ids=["one-stream", "two-streams"])
new_or_sitting = pytest.mark.parametrize("is_sitting", [False, True], ids=["new", "sitting"])


@two_or_one_stream
@new_or_sitting
def test_two_requests_in_every_order_with_every_outcome(service: Service, streams: str, is_sitting: bool) -> None:
    play_all(service, orders_of(2), streams, is_sitting)


@two_or_one_stream
@new_or_sitting
def test_two_requests_in_every_order_with_a_departure_in_between(
    service: Service, streams: str, is_sitting: bool
) -> None:
    play_all(service, with_departure(orders_of(2), places=2), streams, is_sitting)


def test_three_requests_in_many_orders(service: Service) -> None:
    """Each with every outcome in a soak; here some have one of them."""
    play_all(service, orders_of(3)[::9], "aab", is_sitting=False)


def test_three_requests_in_many_orders_with_a_departure(service: Service) -> None:
    play_all(service, with_departure(orders_of(3), places=1)[::27], "aba", is_sitting=False)
