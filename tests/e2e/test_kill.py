"""`kill -9` under load: what was confirmed is on record, and no seat is stuck."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from streamlimit.server import HEALTHCHECK_SECONDS
from tests.e2e.clients import Client
from tests.e2e.killing import LIMIT, Load, make_films, one_round, workers_of
from tests.service import Service, started, temporary_folder, wait_until


def test_after_a_kill_of_the_whole_service_nothing_confirmed_is_lost_and_no_seat_is_stuck(tmp_path: Path) -> None:
    one_round(tmp_path, make_films(tmp_path), "round")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Three workers."""
    with temporary_folder() as folder, started(folder, **make_films(folder)) as running:
        yield running


def test_after_a_kill_of_one_worker_the_others_go_on_and_it_is_replaced(service: Service) -> None:
    before = workers_of(service)
    assert len(before) == 3
    load = Load(service.port, "round")
    uvloop.run(kill_one_under(load, service, victim := min(before)))
    assert load.broken  # its own clients noticed
    assert {status for statuses in load.sitting.values() for status in statuses} == {200}
    assert max(service.watching(user)["live_sessions"] for user in load.users()) <= LIMIT
    wait_until(lambda: len(workers_of(service) - {victim}) == 3, 90, "the replacement")
    newcomer = next(iter(workers_of(service) - before))
    assert_serves(newcomer, service)


def test_a_worker_that_dies_while_it_is_asked_whether_it_lives_is_replaced_at_once(service: Service) -> None:
    victim = min(workers_of(service))
    os.kill(victim, signal.SIGSTOP)
    time.sleep(2.5)  # it is asked twice a second; by now it owes an answer
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(workers_of(service) - {victim}) == 3, HEALTHCHECK_SECONDS / 2, "the replacement")


async def kill_one_under(load: Load, service: Service, victim: int) -> None:
    """Half a second after the load began; it goes on until as many have been answered as do on a busy machine."""
    running = asyncio.create_task(load.run(20))
    await asyncio.sleep(0.5)
    os.kill(victim, signal.SIGKILL)
    asked = len(load.statuses)
    async with asyncio.timeout(60):
        while len(load.statuses) <= asked + 100:
            await asyncio.sleep(0.05)
    load.stop()
    await running


def assert_serves(pid: int, service: Service) -> None:
    """Of many new connections some are its own."""
    idle = count_sockets(pid)
    clients: list[Client] = []
    try:
        wait_until(lambda: answered(clients, service) and count_sockets(pid) > idle, 20, "an answer of it")
    finally:
        for client in clients:
            client.close()


def answered(clients: list[Client], service: Service) -> bool:
    clients.append(Client(service.port).send(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"))
    return clients[-1].answer().status == 200


def count_sockets(pid: int) -> int:
    return sum(map(is_socket, Path(f"/proc/{pid}/fd").iterdir()))


def is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except FileNotFoundError:
        return False  # closed meanwhile
