"""Received means that the client has it (rule 4), over HTTP: 3 MB segments, sockets that behave badly."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

import pytest

from tests.e2e.clients import GRANT_KEY, Client, connected, endpoint, play
from tests.service import OPERATOR_KEY, Service, started
from tests.streams import BIG, make_single_file, make_stream

X, N = 1.0, 3
PART = 100_000
SOON_SECONDS = X / 2
"""Before anything that waits for X would notice; half of all may take longer on a machine that is shared."""

LONG = 320
"""Segments of the stream that one connection walks through."""

ARCHIVE, ARCHIVE_SIZE = "all.mp4", 4_000_000_000

Ask = Callable[..., bytes]
both_doors = pytest.mark.parametrize("ask", [endpoint, play])
leaving = pytest.mark.parametrize("leave", [Client.close, Client.reset])
_numbers = count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One worker, X = 1 s."""
    folder = tmp_path_factory.mktemp("receipts")
    make_stream(folder / "streams", "film", LONG)
    make_single_file(folder / "streams", "archive", ARCHIVE, 100, ARCHIVE_SIZE)
    settings = {"segment_seconds": X, "missed_segments": N, "grant_keys": [GRANT_KEY]}
    with started(folder, streams=str(folder / "streams"), **settings) as running:
        yield running


@pytest.fixture
def observer(service: Service) -> Iterator[Client]:
    """Another connection, which sees who is watching."""
    with connected(service.port) as client:
        yield client


def new_user() -> str:
    return f"user-{next(_numbers)}"


def delay_until(condition: Callable[[], bool], what: str, seconds: float = 3.0) -> float:
    """How long it took to become true."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"waited in vain: {what}"
    return time.monotonic() - began


def assert_prompt(delays: list[float]) -> None:
    """Seen from elsewhere long before X is over."""
    assert sorted(delays)[len(delays) // 2] < SOON_SECONDS, max(delays)


def sit(service: Service, user: str) -> None:
    """The session `tv` receives the first segment."""
    with connected(service.port) as client:
        client.send(endpoint(user, "tv", "film", "0.ts")).answer()
        assert is_active(client, user)


@both_doors
@leaving
def test_a_new_session_that_leaves_after_a_part_has_no_seat(
    service: Service, observer: Client, ask: Ask, leave: Callable[[Client], None]
) -> None:
    delays = []
    for _ in range(20):
        user = new_user()
        client = Client(service.port).send(ask(user, "tv", "film", "0.ts"))
        client.head()
        assert client.read(PART) == PART
        assert observer.watching(user)["tv"]["state"] == "starting"
        leave(client)
        delays.append(delay_until(lambda user=user: not observer.watching(user), "the seat to be free"))
    assert_prompt(delays)


@both_doors
@leaving
def test_a_sitting_session_that_leaves_after_a_part_is_as_it_was_and_issued_the_same_again(
    service: Service, observer: Client, ask: Ask, leave: Callable[[Client], None]
) -> None:
    for _ in range(20):
        user = new_user()
        sit(service, user)
        before = observer.watching(user)["tv"]
        client = Client(service.port).send(ask(user, "tv", "film", "1.ts"))
        assert client.head().sequence == 1
        assert client.read(PART) == PART
        leave(client)
        with connected(service.port) as again:
            assert again.send(endpoint(user, "tv", "film")).head().sequence == 1
            after = observer.watching(user)["tv"]
        assert (after["last_activity_at"], after["segment"]) == (before["last_activity_at"], "0.ts")


@both_doors
def test_a_new_session_that_stalls_has_no_seat_after_x(service: Service, observer: Client, ask: Ask) -> None:
    user = new_user()
    with connected(service.port) as client:
        client.send(ask(user, "tv", "film", "0.ts")).head()
        client.read(PART)
        delay_until(lambda: not observer.watching(user), "the stalled seat to be free")
        delay_until(lambda: is_reset(client), "the stalled connection to be reset")


@both_doors
def test_a_sitting_session_that_stalls_is_as_it_was_and_issued_the_same_again(
    service: Service, observer: Client, ask: Ask
) -> None:
    user = new_user()
    sit(service, user)
    before = observer.watching(user)["tv"]
    with connected(service.port) as client:
        client.send(ask(user, "tv", "film", "1.ts")).head()
        client.read(PART)
        delay_until(lambda: is_reset(client), "the stalled connection to be reset")
    assert observer.watching(user)["tv"]["last_activity_at"] == before["last_activity_at"]
    with connected(service.port) as again:
        assert again.send(endpoint(user, "tv", "film")).head().sequence == 1


def is_reset(client: Client) -> bool:
    """Without taking a byte from it: the kernel tells an error as soon as there is one."""
    return client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


@both_doors
@pytest.mark.parametrize("extra", ["", "Connection: close\r\n"], ids=["keep-alive", "connection-close"])
def test_who_reads_all_and_closes_at_once_is_confirmed_every_time(
    service: Service, observer: Client, ask: Ask, extra: str
) -> None:
    """tests/soak/test_receipts_soak.py does it 500 times."""
    confirm_each(service, observer, ask, extra, 60)


def confirm_each(service: Service, observer: Client, ask: Ask, extra: str, times: int) -> None:
    delays = []
    for n in range(times):
        user, segment = new_user(), f"{n % LONG}.ts"
        with connected(service.port) as client:
            head = client.send(ask(user, "tv", "film", segment, extra)).head()
            assert client.read(head.length) == BIG
        delays.append(delay_until(lambda user=user: is_active(observer, user), f"the receipt of {user}"))
        assert observer.watching(user)["tv"]["segment"] == segment
    assert_prompt(delays)


def is_active(observer: Client, user: str) -> bool:
    return [session["state"] for session in observer.watching(user).values()] == ["active"]


def test_the_next_request_on_a_connection_finds_the_one_before_received_300_times(service: Service) -> None:
    user = new_user()
    with connected(service.port) as client:
        assert [client.send(endpoint(user, "tv", "film")).answer().sequence for _ in range(300)] == list(range(300))


def test_pipelined_requests_are_issued_one_segment_after_the_other(service: Service, observer: Client) -> None:
    user = new_user()
    with connected(service.port) as client:
        client.send(endpoint(user, "tv", "film") * 5)
        assert [client.answer().sequence for _ in range(5)] == list(range(5))
    delay_until(lambda: observer.watching(user)["tv"]["segment"] == "4.ts", "the last receipt")


def test_who_hangs_up_on_the_first_of_pipelined_requests_has_received_neither(
    service: Service, observer: Client
) -> None:
    user = new_user()
    client = Client(service.port).send(endpoint(user, "tv", "film") * 2)
    client.head()
    client.read(PART)
    client.reset()
    delay_until(lambda: not observer.watching(user), "the seat to be free")


def test_who_half_closes_after_the_request_still_receives(service: Service, observer: Client) -> None:
    user = new_user()
    with connected(service.port) as client:
        client.send(endpoint(user, "tv", "film")).socket.shutdown(socket.SHUT_WR)
        client.answer()
    delay_until(lambda: is_active(observer, user), "the receipt")


def test_head_takes_no_seat_and_is_no_activity(service: Service, observer: Client) -> None:
    new, sitting = new_user(), new_user()
    sit(service, sitting)
    before = observer.watching(sitting)
    with connected(service.port) as client:
        for user in (new, sitting):
            head = client.send(play(user, "tv", "film", "1.ts", method="HEAD")).head()
            assert (head.status, head.length) == (200, BIG)
    with connected(service.port) as client:
        assert client.send(b"HEAD /v1/segments HTTP/1.1\r\nHost: t\r\n\r\n").head().status == 405
    assert observer.watching(new) == {}
    assert observer.watching(sitting)["tv"]["last_activity_at"] == before["tv"]["last_activity_at"]


def test_who_leaves_a_file_of_gigabytes_keeps_nobody_waiting(service: Service, observer: Client) -> None:
    user = new_user()
    client = Client(service.port).send(play(user, "tv", "archive", ARCHIVE))
    assert client.head().length == ARCHIVE_SIZE
    client.read(PART)
    client.reset()
    assert_prompt([delay_until(lambda: observer.watching("nobody") == {}, "an answer") for _ in range(50)])
    delay_until(lambda: not observer.watching(user), "the seat to be free")


def test_who_reads_a_file_of_gigabytes_at_full_speed_keeps_nobody_waiting(service: Service, observer: Client) -> None:
    user = new_user()
    with connected(service.port) as client:
        client.send(play(user, "tv", "archive", ARCHIVE)).head()
        reading = threading.Thread(target=read_until_closed, args=(client,))
        reading.start()
        assert_prompt([delay_until(lambda: observer.watching("nobody") == {}, "an answer") for _ in range(50)])
        assert reading.is_alive()
        client.socket.shutdown(socket.SHUT_RDWR)
        reading.join()


def read_until_closed(client: Client) -> None:
    with suppress(OSError):
        client.read(ARCHIVE_SIZE)


def test_a_range_counts_when_it_has_the_segments_last_byte(service: Service, observer: Client) -> None:
    user = new_user()
    with connected(service.port) as client:
        client.send(play(user, "tv", "film", "0.ts", f"Range: bytes=0-{PART}\r\n")).answer()
        delay_until(lambda: not observer.watching(user), "the part to be settled")
        client.send(play(user, "tv", "film", "0.ts", f"Range: bytes={PART + 1}-\r\n")).answer()
    delay_until(lambda: is_active(observer, user), "the receipt of the last range")


@both_doors
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "sitting"])
@pytest.mark.parametrize("key", [None, OPERATOR_KEY], ids=["ended", "terminated"])
def test_a_session_sent_away_while_its_segment_is_on_its_way_is_cut_off_and_not_seated_again(
    service: Service, observer: Client, ask: Ask, is_new: bool, key: str | None
) -> None:
    user = new_user()
    if not is_new:
        sit(service, user)
    with connected(service.port, receive_buffer=4096) as client:
        client.send(ask(user, "tv", "film", "1.ts")).head()
        read_for(client, X / 2)
        assert service.call("DELETE", f"/v1/users/{user}/sessions/tv", key=key).status == 204
        with pytest.raises(ConnectionError):
            read_for(client, 3 * X)  # all of it would take ten times as long
    assert observer.watching(user) == {}


def read_for(client: Client, seconds: float, per_second: int = 100_000) -> None:
    """Reads at a steady pace: the line is slow."""
    began = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        client.read(per_second // 50)
        time.sleep(max(0.02 - (time.monotonic() - now), 0))


def test_a_session_sent_away_whose_segment_arrives_all_the_same_is_not_seated_again(
    service: Service, observer: Client
) -> None:
    for n in range(20):
        user = new_user()
        with connected(service.port) as client:
            client.send(endpoint(user, "tv", "film")).head()
            key = OPERATOR_KEY if n % 2 else None
            service.call("DELETE", f"/v1/users/{user}/sessions/tv", key=key)
            client.read(BIG)
            client.send(b"OPTIONS /v1/segments HTTP/1.1\r\nHost: t\r\n\r\n").answer()
        assert observer.watching(user) == {}
