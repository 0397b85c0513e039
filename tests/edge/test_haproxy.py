"""Debian's HAProxy with deploy/haproxy/, as it is shipped: asked by Lua, its yes kept in a table, told by its log."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.edge.programs import Edge, problem
from tests.edge.recipes import opened
from tests.needs import needs
from tests.service import OPERATOR_KEY, wait_until
from tests.streams import BIG


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with opened({"film": 4}, edge_cache_seconds=3) as recipes:
        yield recipes.edge("haproxy")


def _sit(edge: Edge, user: str, session: str = "s") -> str:
    """It has received a segment, and HAProxy keeps a yes of it."""
    grant: str = edge.open(user, session)["grant"]
    answer = edge.get(f"/play/{grant}/film/0.ts")
    assert (answer.status, len(answer.body)) == (200, BIG)
    assert answer.headers["access-control-allow-origin"] == "*"
    edge.await_state(user, session, "active")
    assert edge.get(f"/play/{grant}/film/index.m3u8").status == edge.get(f"/play/{grant}/film/1.ts").status == 200
    return grant


def test_what_arrived_is_confirmed_and_an_aborted_segment_is_not(edge: Edge, user: str) -> None:
    _sit(edge, user)
    grant = edge.open(user, "t")["grant"]
    edge.hang_up(f"/play/{grant}/film/0.ts")
    edge.await_state(user, "t", None)


def test_what_arrives_by_http_2_is_confirmed(edge: Edge, user: str) -> None:
    """Its log names whole URLs then."""
    needs("curl")
    grant = edge.open(user, "s")["grant"]
    url = f"http://127.0.0.1:{edge.port}/play/{grant}/film/0.ts"
    command = [
        "curl",
        "-s",
        "--http2-prior-knowledge",
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{size_download}",
        url,
    ]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert said == f"2 {BIG}"
    edge.await_state(user, "s", "active")


def test_the_fourth_is_refused_and_told_why(edge: Edge, user: str) -> None:
    late = edge.open(user, "late")["grant"]
    edge.service.post(f"/v1/users/{user}/sessions/late/end", {"grant": late, "keep_grant": True})
    for number in range(3):
        edge.open(user, f"s{number}")
    answer = edge.get(f"/play/{late}/film/0.ts")
    assert (answer.status, problem(answer)["code"], len(problem(answer)["sessions"])) == (409, "session-limit", 3)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert edge.get("/play/none/film/0.ts").status == 403


def test_a_termination_bites_when_the_yes_has_gone_stale_however_often_it_was_used(edge: Edge, user: str) -> None:
    grant = _sit(edge, user)
    edge.service.call("DELETE", f"/v1/users/{user}/sessions/s", key=OPERATOR_KEY)
    wait_until(lambda: edge.get(f"/play/{grant}/film/2.ts").status == 410, 8, "the termination")


def test_forged_headers_and_odd_paths_open_nothing(edge: Edge, user: str) -> None:
    grant, other = edge.open(user, "s")["grant"], edge.open(user, "t")["grant"]
    edge.service.post(f"/v1/users/{user}/sessions/s/end", {"grant": grant})
    for name in ("X-Original-URI", "X-Forwarded-Uri"):
        assert edge.get(f"/play/{grant}/film/0.ts", **{name: f"/play/{other}/film/0.ts"}).status == 403
    for path in (
        f"/play/{other}/none/../film/0.ts",
        f"/play/{other}/none/%2e%2e/film/0.ts",
        "/film/0.ts",
        "/edge/auth",
    ):
        assert edge.get(path).status in (403, 404)
