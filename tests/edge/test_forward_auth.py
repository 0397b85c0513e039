"""Envoy, Caddy, Traefik and Varnish with their configurations in deploy/, as they are shipped: they ask each time.

What they tell of what arrived: Envoy's log is followed here by the service; Caddy's and Traefik's lines are read alone.
"""

from collections.abc import Iterator

import pytest

from tests.edge.programs import Edge, problem
from tests.edge.recipes import Recipes, opened
from tests.service import OPERATOR_KEY
from tests.streams import BIG

HUGE = 32_000_000
"""More than any kernel takes ahead of the viewer."""
OWN_STATUS = {"envoy", "varnish"}
"""Edges whose viewers see the refusal's own status; others see 403, with the same document."""


@pytest.fixture(scope="module")
def recipes() -> Iterator[Recipes]:
    with opened({"film": 4, "huge": 1}, {"huge": HUGE}, log="file:{}/envoy.log") as recipes:
        yield recipes


@pytest.fixture(params=["envoy", "caddy", "traefik", "varnish"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_session_plays_and_its_next_segment_tells_of_the_one_before(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    assert edge.get(f"/play/{grant}/film/index.m3u8").status == 200
    assert edge.state(user, "s") == "starting"
    segments = [edge.get(f"/play/{grant}/film/{number}.ts", Range=f"bytes=0-{BIG - 1}") for number in range(2)]
    assert [(each.status in (200, 206), len(each.body)) for each in segments] == [(True, BIG)] * 2
    assert {each.headers["access-control-allow-origin"] for each in segments} == {"*"}, "pages of other origins play"
    assert edge.state(user, "s") == "active"
    assert edge.call("HEAD", f"/play/{grant}/film/2.ts").status == 200
    assert edge.service.watching(user)["sessions"][0]["segment"] in ("0.ts", "1.ts")  # where its log tells: the last


def test_envoys_log_tells_what_arrived_and_an_aborted_segment_gives_its_seat_back(recipes: Recipes, user: str) -> None:
    edge = recipes.edge("envoy")
    sits, leaves = edge.open(user, "s")["grant"], edge.open(user, "t")["grant"]
    assert len(edge.get(f"/play/{sits}/film/0.ts").body) == BIG
    edge.hang_up(f"/play/{leaves}/film/0.ts")
    edge.await_state(user, "s", "active")
    edge.await_state(user, "t", None)


@pytest.mark.parametrize("told", ["caddy", "traefik"])
def test_caddys_and_traefiks_logs_tell_what_arrived_and_what_did_not(recipes: Recipes, user: str, told: str) -> None:
    edge = recipes.edge(told)
    grant = edge.open(user, "s")["grant"]
    whole, broken = f"/play/{grant}/film/0.ts", f"/play/{grant}/huge/0.ts"
    assert len(edge.get(whole).body) == BIG
    edge.hang_up(broken)
    found = recipes.reported(told, whole)
    assert (found.is_received, found.is_lost, found.status, found.bytes) == (True, False, 200, BIG)
    found = recipes.reported(told, broken)
    assert (found.is_received, found.is_lost) == (False, True)


def test_the_fourth_is_refused_and_told_why(name: str, edge: Edge, user: str) -> None:
    late = edge.open(user, "late")["grant"]
    edge.service.post(f"/v1/users/{user}/sessions/late/end", {"grant": late, "keep_grant": True})
    for number in range(3):
        edge.open(user, f"s{number}")
    for path in ("index.m3u8", "0.ts"):
        answer = edge.get(f"/play/{late}/film/{path}", If_None_Match='"x"')
        assert answer.status == (409 if name in OWN_STATUS else 403)
        assert (problem(answer)["code"], len(problem(answer)["sessions"])) == ("session-limit", 3)
        assert answer.headers["access-control-allow-origin"] == "*", "and are told why"


def test_a_termination_bites_at_the_next_segment(name: str, edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    assert edge.get(f"/play/{grant}/film/0.ts").status == 200
    edge.service.call("DELETE", f"/v1/users/{user}/sessions/s", key=OPERATOR_KEY)
    answer = edge.get(f"/play/{grant}/film/1.ts")
    assert (answer.status, problem(answer)["code"]) == (410 if name in OWN_STATUS else 403, "session-terminated")


def test_forged_headers_and_odd_paths_open_nothing(edge: Edge, user: str) -> None:
    grant, other = edge.open(user, "s")["grant"], edge.open(user, "t")["grant"]
    edge.service.post(f"/v1/users/{user}/sessions/s/end", {"grant": grant})
    dead, good = f"/play/{grant}/film/0.ts", f"/play/{other}/film/0.ts"
    for header in ("X-Original-URI", "X-Forwarded-Uri", "X-Envoy-Original-Path", "X-Original-Method"):
        assert edge.get(dead, **{header: "HEAD" if header.endswith("Method") else good}).status in (401, 403)
    for path in (f"{dead}?grant={other}", f"/play/{other}/x/%2e%2e%2ffilm/0.ts", "/film/0.ts", "/edge/auth"):
        assert edge.get(path).status in (400, 401, 403, 404)
    # A HEAD takes no seat, and nobody makes a GET into one.
    edge.service.post(f"/v1/users/{user}/sessions/t/end", {"grant": other, "keep_grant": True})
    answer = edge.get(good, X_Original_Method="HEAD", X_Forwarded_Method="HEAD", X_HTTP_Method_Override="HEAD")
    assert answer.status == 200
    assert edge.state(user, "t") == "starting"


def test_what_players_say_of_themselves_is_one_file_in_varnishs_cache(recipes: Recipes, user: str) -> None:
    """CMCD in requests, as v1 has it; `X-Varnish` names two transactions on a hit."""
    edge = recipes.edge("varnish")
    path = f"/play/{edge.open(user, 's')['grant']}/film/0.ts"
    said = ("?CMCD=bl%3D1%2Csid%3D%22a%22", "?CMCD=bl%3D2", "", "?a=1&CMCD=bl%3D3", "?CMCD=bl%3D4&a=1")
    ids = [edge.get(path + each).headers["x-varnish"].split() for each in said]
    assert [len(each) for each in ids[1:]] == [2, 2, 1, 2]


def test_cmcd_in_requests_decides_nothing(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    path, header = f"/play/{grant}/film/0.ts", 'sid="other",cid="none",sf=h,v=1'
    assert edge.get(f"{path}?CMCD=cid%3D%22none%22%2Csid%3D%22other%22", CMCD_Session=header).status == 200
    assert edge.service.watching(user)["sessions"][0]["stream_id"] == "film"
