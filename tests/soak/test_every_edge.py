"""All edges, with the same viewers: six sessions of a limit of three, streamlimit and its store stopped, terminations.

One service, which hands out by `X-Accel-Redirect` and answers `/edge/…`, on a store that can be stopped.
"""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.browser import chromium, opened
from tests.edge.programs import Edge, paused
from tests.edge.recipes import Recipes
from tests.edge.recipes import opened as edges
from tests.servers import Server, single
from tests.service import OPERATOR_KEY, SAMPLES, Answer, wait_until

pytestmark = pytest.mark.soak

X, AWAY_SECONDS = 4, 5
"""Who sits goes on for (n - 1)·X = 8 s without the store."""
SIZE = 20_000
KEEPS_A_YES = {"nginx-auth-request", "haproxy"}
EDGES = ["nginx-accel", "nginx-auth-request", "haproxy", "envoy", "caddy", "traefik", "varnish"]


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with single("redis") as server:
        yield server


@pytest.fixture(scope="module")
def recipes(redis: Server) -> Iterator[Recipes]:
    settings = {"deliver": "accel", "store": redis.url, "segment_seconds": X, "edge_cache_seconds": 1}
    with edges({"film": 400}, {"film": SIZE}, **settings) as recipes:
        yield recipes


@pytest.fixture(params=EDGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def grant_of(edge: Edge, user: str, session: str) -> str:
    """Of a session that holds no seat yet."""
    grant: str = edge.open(user, session)["grant"]
    edge.service.post(f"/v1/users/{user}/sessions/{session}/end", {"grant": grant, "keep_grant": True})
    return grant


def watched(edge: Edge, grant: str, number: int) -> Answer:
    return edge.get(f"/play/{grant}/film/{number}.ts")


def sits(edge: Edge, user: str, session: str) -> str:
    """Its grant; it has received two segments, so an edge that keeps a yes has one."""
    grant = grant_of(edge, user, session)
    for number in range(3):
        wait_until(lambda n=number: watched(edge, grant, n).status == 200, 10, f"segment {number}")
    edge.await_state(user, session, "active")
    watched(edge, grant, 3)
    return grant


def is_refused(edge: Edge, grant: str) -> bool:
    """Is it, or has it no answer at all for a while? Some edges wait long for a service that takes connections."""
    try:
        return edge.call("GET", f"/play/{grant}/film/0.ts", seconds=2).status >= 400
    except TimeoutError:
        return True


class Probing:
    """A player of its own kind: ranges, looks, conditions and files that no playlist lists."""

    def __init__(self, edge: Edge, grant: str) -> None:
        self._edge, self._grant = edge, grant

    def ask(self, number: int) -> Answer:
        path = f"/play/{self._grant}/film/{number}.ts"
        self._edge.call("HEAD", path)
        self._edge.get(path, If_None_Match='"x"', If_Modified_Since="Sun, 01 Nov 2026 00:00:00 GMT")
        self._edge.get(f"/play/{self._grant}/film/unlisted-{number}.ts")
        self._edge.get(path, Range=f"bytes={SIZE}-")
        return self._edge.get(path, Range="bytes=0-99")


def test_of_six_sessions_never_more_than_three_are_fed(edge: Edge, user: str) -> None:
    grants = [grant_of(edge, user, f"s{number}") for number in range(6)]
    fed: dict[int, list[int]] = {}

    def play(player: int) -> None:
        for number in range(25):
            probing = Probing(edge, grants[player])
            answer = probing.ask(number) if player == 5 else watched(edge, grants[player], number)
            if answer.status in (200, 206) and answer.body:
                fed.setdefault(player, []).append(number)

    threads = [threading.Thread(target=play, args=(player,)) for player in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fed) == 3, fed
    assert edge.service.watching(user)["live_sessions"] == 3


def test_while_streamlimit_is_down_no_edge_opens_and_afterwards_who_sits_plays_on(
    name: str, edge: Edge, user: str
) -> None:
    sitting, late = sits(edge, user, "s"), grant_of(edge, user, "t")
    with paused(edge.service):
        until, number = time.monotonic() + AWAY_SECONDS, 4
        while time.monotonic() < until:
            if name in KEEPS_A_YES:
                assert watched(edge, sitting, number).status == 200
            assert is_refused(edge, late), "and whoever is not let in is told so, or waits"
            number += 1
            time.sleep(0.5)
    wait_until(lambda: watched(edge, sitting, number).status == 200, 20, "streamlimit")


def test_while_streamlimit_hangs_a_newcomer_is_refused_in_the_end(edge: Edge, user: str) -> None:
    late = grant_of(edge, user, "s")
    with paused(edge.service):
        assert edge.call("GET", f"/play/{late}/film/0.ts", seconds=60).status >= 500
    wait_until(lambda: watched(edge, late, 0).status == 200, 20, "streamlimit")


def test_while_the_store_is_away_who_sits_plays_on_and_a_newcomer_is_refused_plainly(
    edge: Edge, redis: Server, user: str
) -> None:
    sitting, late = sits(edge, user, "s"), grant_of(edge, user, "t")
    redis.hang()
    try:
        until, number = time.monotonic() + AWAY_SECONDS, 4
        while time.monotonic() < until:
            assert watched(edge, sitting, number).status == 200
            answer = watched(edge, late, 0)
            assert answer.status in (403, 503)
            assert answer.json["code"] == "store-unavailable"
            number += 1
            time.sleep(0.5)
    finally:
        redis.resume()
    wait_until(lambda: watched(edge, late, 0).status == 200, 30, "the store")
    assert watched(edge, sitting, number).status == 200


def test_a_termination_bites_when_the_edge_asks_again(edge: Edge, user: str) -> None:
    grant = sits(edge, user, "s")
    edge.service.call("DELETE", f"/v1/users/{user}/sessions/s?reason=x", key=OPERATOR_KEY)
    wait_until(lambda: watched(edge, grant, 5).status in (403, 410), 10, "the termination")
    for _ in range(5):
        assert watched(edge, grant, 6).status in (403, 410)
        time.sleep(0.3)


PAGE = """<!doctype html><script>{library}</script><video muted></video><script>
const hls = new Hls(); hls.loadSource({url}); hls.attachMedia(document.querySelector("video"));
document.querySelector("video").play();</script>"""


@pytest.mark.parametrize("name", ["nginx-accel", "envoy", "haproxy"])
def test_hls_js_plays_over_an_edge_from_a_page_of_another_origin(name: str, recipes: Recipes, user: str) -> None:
    edge = recipes.edge(name)
    target = recipes.folder / "streams/orchard"
    if not target.exists():
        target.symlink_to(SAMPLES / "orchard")
    told = edge.open(user, "s", "orchard")
    library = (SAMPLES.parent / "web/static/vendor/hls.min.js").read_text()
    url = f"http://127.0.0.1:{edge.port}/play/{told['grant']}/orchard/master.m3u8"
    page = recipes.folder / f"{name}.html"
    page.write_text(PAGE.format(library=library, url=repr(url)))
    with chromium() as browser, opened(browser, f"file://{page}") as tab:
        tab.wait_for("document.querySelector('video').currentTime > 2", seconds=60)
    edge.await_state(user, "s", "active")
