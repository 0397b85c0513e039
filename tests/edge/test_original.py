"""The URI that a viewer sent to an edge, and where its grant is."""

import pytest

from streamlimit.edge.grants import grants_beside
from streamlimit.edge.original import Original, file_of, original_of
from streamlimit.web.address import Proxies
from streamlimit.web.problems import Problem
from tests.http.made import made


@pytest.mark.parametrize(
    ("uri", "stream", "path"),
    [
        ("/play/G/film/1.ts", "film", "1.ts"),
        ("/play/G/film/a/b/1.ts?x=1&y#", "film", "a/b/1.ts"),
        ("/play/G/film/", "film", ""),
        ("/play/G/film/a/", "film", "a/"),
        ("/play/G/Big%20Buck%20Bunny%20(2008)/v%C3%A9.ts", "Big Buck Bunny (2008)", "vé.ts"),
        ("/play/G/f%25m/100%2525.ts", "f%m", "100%25.ts"),
        ("/play/G/f\xc3\xa9/\xc3\xa9.ts", "fé", "é.ts"),
        ("/play/G/film/a//1.ts", "film", "a/1.ts"),
        ("http://any.host:80/play/G/film/1.ts", "film", "1.ts"),
        ("/play/G/film/1.ts?next=http://x/../y", "film", "1.ts"),
    ],
)
def test_it_names_grant_stream_and_file(uri: str, stream: str, path: str) -> None:
    found = original_of(uri)
    assert (found.grant, found.stream_id, found.path) == ("G", stream, path)


@pytest.mark.parametrize(
    "uri",
    [
        "", "/", "play/G/film/1.ts", "/play/G/film", "/play/G", "//play/G/film/1.ts", "/play//G/film/1.ts",
        "/play/G//film/1.ts", "/play/G/film/../other/1.ts", "/play/G/film/%2e%2e/other/1.ts", "/play/G/../G/film/1.ts",
        "/play/G/film/./1.ts", "/play/G/film%2F..%2Fother/1.ts", "/play/G/film/a%2fb.ts", "/play/G/film/a%5cb.ts",
        "/play/G/film/a\\b.ts", "/play/G/film/1.ts#.m3u8", "/play/G/film/1.ts%00.m3u8", "/play/G/film/a b.ts",
        "/play/G/film/%ff.ts", "/play/G/%ff/1.ts", "/play/G/../film/1.ts", "/play/G/./1.ts", "/play/G/film/.hid/1.ts",
        "/play/G/film/1%0a.ts", f"/play/G/film/{'a' * 1_025}", f"/play/G/{'a' * 129}/1.ts", "/film", "http://host",
        "/%70lay/G/film/1.ts",
    ],
)  # fmt: skip
def test_what_two_readers_could_read_in_two_ways_is_refused(uri: str) -> None:
    with pytest.raises(Problem, match="malformed"):
        original_of(uri)


def test_without_play_the_grant_is_elsewhere() -> None:
    assert original_of("/film/1.ts?grant=G") == Original(None, "film", "1.ts", "grant=G")
    assert original_of("/tv/play/G/film/1.ts", "/tv").grant == "G"
    assert file_of("film/a%20b.ts?x") == ("film", "a b.ts")
    assert file_of("play/G/film/1.ts") == ("play", "G/film/1.ts")


@pytest.mark.parametrize(
    ("query", "headers", "grants"),
    [
        ("grant=A", {"authorization": "Bearer B", "cookie": "streamlimit=C"}, ["A"]),
        ("a=1&grant=A&grant=Z", {}, ["A"]),
        ("grant=A%2E~1", {}, ["A.~1"]),
        ("xgrant=A&grant=", {"authorization": "bearer B", "cookie": "streamlimit=C"}, ["B", "C"]),
        ("", {"authorization": "Basic B", "cookie": 'a=b; streamlimit="C"; streamlimit=D'}, ["C"]),
        ("", {"cookie": "xstreamlimit=C"}, []),
        ("", {}, []),
    ],
)
def test_grants_beside_the_path_are_found(query: str, headers: dict[str, str], grants: list[str]) -> None:
    request = made(headers=[(name.encode(), value.encode()) for name, value in headers.items()])
    assert grants_beside(query, request) == grants


@pytest.mark.parametrize(("client", "trusted", "is_edge"), [
    (("10.0.0.1", 1), ["10.0.0.0/8"], True),
    (("11.0.0.1", 1), ["10.0.0.0/8"], False),
    (("127.0.0.1", 1), [], False),
    (None, ["unix"], True),
    (None, ["10.0.0.0/8"], False),
])  # fmt: skip
def test_only_an_edge_speaks_for_viewers(client: tuple[str, int] | None, trusted: list[str], is_edge: bool) -> None:
    proxies, request = Proxies(trusted), made(headers=[(b"x-forwarded-for", b"198.51.100.7")], client=client)
    for _ in range(2):  # and so it is when the viewer's own address stands in its place
        if is_edge:
            proxies.require(request)
        else:
            with pytest.raises(Problem, match="forbidden"):
                proxies.require(request)
        proxies.reveal(request)
