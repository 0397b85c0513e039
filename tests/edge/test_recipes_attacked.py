"""Each recipe as somebody with a console sees it: odd paths, other methods, forged headers, streamlimit's own calls.

Whoever is refused gets not a byte of a segment, and a seat on one stream opens no other.
"""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from tests.edge.calls import some_user
from tests.edge.programs import Edge
from tests.edge.recipes import EDGES, Recipes, opened
from tests.service import Answer, wait_until

UNLISTED = "extra.bin"
"""A file of `film` that no playlist names."""
FILM, NEWS = 3_000, 4_000
"""How long a segment of each stream is: what came tells which it was."""
READS_PATHS_FIRST = {"envoy", "traefik"}
"""Edges that take dots out of a path before they ask: what they ask for is what they hand out."""

REFUSED = range(400, 500)


@pytest.fixture(scope="module")
def recipes() -> Iterator[Recipes]:
    sizes = {"film": FILM, "news": NEWS, "v1": NEWS}
    settings = {"deliver": "accel", "segment_seconds": 60, "edge_cache_seconds": 30}
    with opened(dict.fromkeys(sizes, 9), sizes, **settings) as recipes:
        (recipes.folder / "streams/film" / UNLISTED).write_bytes(bytes(FILM))
        yield recipes


@pytest.fixture(params=EDGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sits(edge: Edge, user: str) -> str:
    """A grant whose session has received segments of `film`: an edge that keeps a yes has one."""
    grant: str = edge.open(user, "s")["grant"]
    assert edge.get(f"/play/{grant}/film/0.ts").status == 200
    edge.get(f"/play/{grant}/film/1.ts")  # it tells of the one before, where nothing else does
    edge.await_state(user, "s", "active")
    for number in (2, 3):
        assert edge.get(f"/play/{grant}/film/{number}.ts").status == 200
    return grant


def dead(edge: Edge, user: str) -> str:
    """A grant that lets nobody in any more."""
    grant: str = edge.open(user, "dead")["grant"]
    edge.service.call("DELETE", f"/v1/users/{user}/sessions/dead")
    return grant


def sent(edge: Edge, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    """One request, its target and headers as they are."""
    line = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
    try:
        line.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            line.putheader(name, value)
        if body:
            line.putheader("Content-Length", str(len(body)))
        line.endheaders(body or None)
        answer = line.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        line.close()


def test_a_seat_on_one_stream_opens_no_other_by_an_odd_path(name: str, edge: Edge, user: str) -> None:
    grant = sits(edge, user)
    begin = f"/play/{grant}/film"
    for odd in (
        *("/../news/1.ts", "/%2e%2e/news/1.ts", "/.%2E/news/1.ts", "/..%2fnews/1.ts", "/..%2Fnews%2f1.ts"),
        *("/x/../../news/1.ts", "/..\\news/1.ts", "/..%5cnews/1.ts", "%2f..%2fnews/1.ts", "/..;/news/1.ts"),
        *("//../news/1.ts", "/./../news/1.ts", "/..//news/1.ts", "/%252e%252e/news/1.ts", "/..%00/news/1.ts"),
        *("/0.ts/../../news/1.ts", "/..?/news/1.ts", "/..#/../news/1.ts", "/%c0%ae%c0%ae/news/1.ts"),
    ):
        answer = sent(edge, "GET", begin + odd)
        if answer.status == 200:
            assert name in READS_PATHS_FIRST, odd
            assert answer.headers.get("content-length") == str(NEWS)
        else:
            assert answer.status in REFUSED, odd
            assert len(answer.body) not in (FILM, NEWS), odd


def test_a_stream_may_have_any_name(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s", "v1")["grant"]
    assert len(edge.get(f"/play/{grant}/v1/0.ts").body) == NEWS


def test_without_a_good_grant_no_path_brings_a_segment(edge: Edge, user: str) -> None:
    none, other = dead(edge, user), sits(edge, some_user())
    for target in (
        *("/film/0.ts", "/streams/film/0.ts", "/_streams/film/0.ts", "/_streamlimit", "/play/film/0.ts"),
        *("/play/../film/0.ts", "/play/%2e%2e/film/0.ts", "/play//film/0.ts", "/play/x/../../film/0.ts"),
        *("/v1/../film/0.ts", "/v1/../_streams/film/0.ts", "/v1/%2e%2e/play/x/film/0.ts", "//film/0.ts"),
        *(f"/play/{none}/film/0.ts", f"/play/{none}/film/0.ts?grant={other}", f"/play/{none}~1/film/0.ts"),
        *(f"/play/{none}/../{other}x/film/0.ts", f"/play/{other}x/film/0.ts", f"/play/{other[:-1]}/film/0.ts"),
        *(f"/film/0.ts?grant={other}", f"/PLAY/{other}/film/0.ts", "/v1/play/x/film/0.ts", "/v1/x/play/y/film/0.ts"),
        *(f"/play/{none}/film/0.ts%0d%0aX-Original-URI:%20/play/{other}/film/0.ts",),
    ):
        answer = sent(edge, "GET", target)
        assert answer.status in (*REFUSED, 301, 307, 308), target
        assert len(answer.body) not in (FILM, NEWS), target


def test_forged_headers_and_another_sessions_cookie_open_nothing(edge: Edge, user: str) -> None:
    none, other = dead(edge, user), sits(edge, some_user())
    path, good = f"/play/{none}/film/0.ts", f"/play/{other}/film/0.ts"
    names = ("X-Original-URI", "X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL", "X-Envoy-Original-Path")
    forged = [
        *(((name, good),) for name in names),
        *(((name, good), (name, path)) for name in names),
        *(((name, good), ("Connection", name)) for name in names),
        *((("X-Original-URI", good), ("Connection", f"close, {name}")) for name in ("X-Forwarded-Uri", "Host")),
        (("X-Accel-Redirect", "/_streams/film/0.ts"), ("X-Accel-Expires", "60")),
        (("X-Original-Method", "HEAD"), ("X-Forwarded-Method", "HEAD"), ("X-HTTP-Method-Override", "HEAD")),
        (("Cookie", f"streamlimit={other}"),),
        (("Cookie", f"streamlimit={other}; streamlimit={none}"), ("Authorization", f"Bearer {other}")),
        (("X-Range", "bytes=0-9"), ("Range", "bytes=0-9")),
        (("If-None-Match", "*"), ("If-Modified-Since", "Sun, 01 Nov 2026 00:00:00 GMT")),
    ]
    for headers in forged:
        answer = sent(edge, "GET", path, *headers)
        assert answer.status in REFUSED, headers
        assert len(answer.body) not in (FILM, NEWS), headers


def test_of_six_sessions_never_more_than_three_are_fed(edge: Edge, user: str) -> None:
    """Asked for all at once: whole segments, ranges, looks, conditions and a file that no playlist names."""
    grants = {f"s{number}": edge.open(user, f"s{number}")["grant"] for number in range(3)}
    for session, grant in list(grants.items()):
        edge.service.post(f"/v1/users/{user}/sessions/{session}/end", {"grant": grant, "keep_grant": True})
    grants |= {f"s{number}": edge.open(user, f"s{number}")["grant"] for number in range(3, 6)}
    for session in ("s3", "s4", "s5"):
        edge.service.post(f"/v1/users/{user}/sessions/{session}/end", {"grant": grants[session], "keep_grant": True})
    asked = [
        (session, method, path, condition)
        for path in ("index.m3u8", "1.ts", UNLISTED, "2.ts", "3.ts")
        for method, condition in (
            *(("HEAD", ()), ("GET", (("If-None-Match", "*"),)), ("GET", (("Range", "bytes=0-9"),)), ("GET", ())),
        )
        for session in grants
    ]

    def ask(session: str, method: str, path: str, headers: tuple[tuple[str, str], ...]) -> Answer:
        return sent(edge, method, f"/play/{grants[session]}/film/{path}", *headers)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda one: ask(*one), asked))
    media = [(one, answer) for one, answer in zip(asked, answers, strict=True) if one[2] != "index.m3u8"]
    fed = {one[0] for one, answer in media if answer.status in (200, 206) and answer.body}
    assert len(fed) == 3
    assert all(answer.status in (200, 206, 304, *REFUSED) for _, answer in media)
    assert {each["session_id"] for each in edge.service.watching(user)["sessions"]} == fed


def test_nobody_takes_a_seat_for_a_head_that_gets_the_bytes(edge: Edge, user: str) -> None:
    """A look takes no seat; whatever else it says of itself, what gets bytes does."""
    grant = edge.open(user, "s")["grant"]
    edge.service.post(f"/v1/users/{user}/sessions/s/end", {"grant": grant, "keep_grant": True})
    head = edge.call("HEAD", f"/play/{grant}/film/0.ts")
    assert (head.status, head.body, edge.state(user, "s")) == (200, b"", None)
    names = ("X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override", "X-Method-Override")
    answer = sent(edge, "GET", f"/play/{grant}/film/0.ts", *((name, "HEAD") for name in names))
    assert (answer.status, len(answer.body)) == (200, FILM)
    assert edge.state(user, "s") in ("starting", "active")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "MOVE"])
def test_no_method_that_changes_anything_reaches_the_files(edge: Edge, user: str, method: str) -> None:
    grant = sits(edge, user)
    answer = sent(edge, method, f"/play/{grant}/film/5.ts", body=b"x" if method != "DELETE" else b"")
    assert answer.status in (400, 403, 404, 405), "501 would be the origin's"


def test_streamlimits_calls_for_edges_are_for_nobody_outside(edge: Edge, user: str) -> None:
    grant = sits(edge, user)
    told = (("X-Original-URI", f"/play/{grant}/film/5.ts"), ("X-Forwarded-For", "127.0.0.1"))
    for target in (
        *("/edge/auth", "//edge/auth", "/%65dge/auth", "/edge/./auth", "/edge//auth", "/edge/auth/", "/edge%2fauth"),
        *(
            "/v1/../edge/auth",
            "/v1/%2e%2e/edge/auth",
            "/v1/..%2fedge/auth",
            "/v1/..%2fedge%2fauth",
            "/v1//../edge/auth",
        ),
        *("/edge/cmcd/../auth", "/edge/cmcd/%2e%2e/auth", "/edge/cmcd/..%2fauth", "/edge/adobe/..;/auth"),
        *("/edge/cmcd/..", "/edge/auth/../cmcd/x", "/edge/auth/%2e%2e/cmcd/x", "/edge/auth/..%2fcmcd/x"),
        *("/EDGE/auth", "/play/../edge/auth", "/v1/edge/auth", "/v1/play/x/edge/auth"),
        *(f"/edge/envoy/play/{grant}/film/5.ts", f"/v1/../edge/envoy/play/{grant}/film/5.ts", "/edge/reports"),
    ):
        answer = sent(edge, "GET", target, *told)
        assert answer.status in (*REFUSED, 301, 307, 308), target
        assert "streamlimit-session" not in answer.headers, target
    report = b'[{"path":"/play/%s/film/5.ts","complete":false,"status":404}]' % grant.encode()
    for target in ("/edge/reports", "/v1/../edge/reports", "/v1/%2e%2e/edge/reports", "/v1/..%2fedge%2freports"):
        answer = sent(edge, "POST", target, ("Content-Type", "application/json"), *told, body=report)
        assert answer.status in REFUSED, target
    assert edge.state(user, "s") == "active"
    wait_until(lambda: edge.get(f"/play/{grant}/film/6.ts").status == 200, 10, "who sits")


def test_no_spelling_leads_from_what_players_may_call_to_what_edges_may(edge: Edge, user: str) -> None:
    """A proxy may read a path otherwise than streamlimit, which gets it as it was sent, from the edge's address."""
    grant, none = sits(edge, user), edge.open(user, "none")["grant"]
    edge.service.post(f"/v1/users/{user}/sessions/none/end", {"grant": none, "keep_grant": True})
    form = f"call=play&name=film&addr=192.0.2.1&clientid=1&grant={none}".encode()
    lost = b'[{"path":"/play/%s/film/5.ts","complete":false,"status":404}]' % grant.encode()
    asked = (("X-Original-URI", f"/play/{none}/film/5.ts"),)
    calls = [
        ("GET", "auth", b"", asked),
        ("GET", f"envoy/play/{none}/film/5.ts", b"", asked),
        ("POST", "reports", lost, (("Content-Type", "application/json"),)),
        ("POST", "rtmp", form, (("Content-Type", "application/x-www-form-urlencoded"),)),
    ]
    for method, call, body, headers in calls:
        for target in _spellings(call):
            answer = sent(edge, method, target, *headers, body=body)
            assert answer.status in (*REFUSED, 301, 307, 308), target
            assert "streamlimit-session" not in answer.headers, target
    assert (edge.state(user, "none"), edge.state(user, "s")) == (None, "active")


def _spellings(call: str) -> Iterator[str]:
    """Paths that somebody may take for `/edge/<call>`, and somebody else for a player's own call."""
    for slash, up in product(("/", "//", "%2f", "\\", "/./"), ("..", "%2e%2e", ".%2E", "..%3F", "%252e%252e")):
        yield f"/edge/cmcd{slash}{up}{slash}{call}"
        yield f"/edge/cmcd/x{slash}{up}{slash}{up}{slash}{call}"
        yield f"/v1{slash}{up}{slash}edge{slash}{call}"
        yield f"/edge/{call}{slash}{up}{slash}cmcd/x"
    for end in ("?/../cmcd/x", "%3F/../cmcd/x", "%23/../cmcd/x", ";/../cmcd/x", "%00/../cmcd/x", "/../../v1/x"):
        yield f"/edge/{call}{end}"
    for begin in (
        "//edge/",
        "/./edge/",
        "/%65dge/",
        "/edge%2f",
        "/EDGE/",
        "/edge;/",
        "/edge/cmcd/x?/../../",
        "/v1/edge/",
    ):
        yield begin + call
