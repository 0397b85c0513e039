"""Requests of which two readers may find different ends, through each recipe: none carries another one to streamlimit.

An edge that hands on no address speaks for itself, and so would a request that is hidden in the body of another.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.edge.programs import Edge
from tests.edge.recipes import EDGES, Recipes, opened
from tests.http.raw import connected, head, until_closed

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def recipes() -> Iterator[Recipes]:
    with opened({"film": 3}, {"film": 3_000}, deliver="accel", segment_seconds=60) as recipes:
        yield recipes


@pytest.fixture(params=EDGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_no_request_hides_in_another_ones_body(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    end = {"grant": grant, "keep_grant": True}
    edge.service.post(f"/v1/users/{user}/sessions/s/end", end)
    hook = f"call=play&name=film&addr=192.0.2.1&clientid=1&grant={grant}".encode()
    assert edge.service.post("/edge/rtmp", hook, headers={"Content-Type": FORM}).status == 200
    edge.service.post(f"/v1/users/{user}/sessions/s/end", end)
    hidden = head("POST /edge/rtmp HTTP/1.1", f"Content-Type: {FORM}", f"Content-Length: {len(hook)}") + hook
    for line in (f"POST /edge/cmcd/{grant}", "GET /v1/streams", f"GET /play/{grant}/film/index.m3u8"):
        for headers, body in _ambiguous(hidden):
            _send(edge, head(f"{line} HTTP/1.1", *headers, host=f"127.0.0.1:{edge.port}") + body)
    assert edge.state(user, "s") is None


def _ambiguous(hidden: bytes) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Headers and body: by one reading *hidden* is in the body, by another it is the next request."""
    size, chunked = f"Content-Length: {len(hidden)}", "Transfer-Encoding: chunked"
    behind = b"0\r\n\r\n" + hidden
    for coding in (
        *(
            chunked,
            "Transfer-Encoding : chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, identity",
        ),
        *("Transfer-Encoding:\tchunked", " Transfer-Encoding: chunked", "Transfer_Encoding: chunked"),
        *("X: y\nTransfer-Encoding: chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
    ):
        yield (f"Content-Length: {len(behind)}", coding), behind
    for length in (
        *(f"Content-Length: 0\r\n{size}", f"Content-Length: 0, {len(hidden)}", f"Content-Length: +{len(hidden)}"),
        *(f"{size}\r\nConnection: Content-Length", f"Content-Length : {len(hidden)}", f"Content_Length: {len(hidden)}"),
        *(f"{size}\r\nConnection: Upgrade\r\nUpgrade: websocket", f"{size}\r\nExpect: 100-continue"),
    ):
        yield (length,), hidden
    for chunks in (b"0;\n\r\n\r\n", b"1\r\nxX\r\n0\r\n\r\n", b"0\r\nContent-Length: 3\r\n\r\n", b"0\n\n"):
        yield (chunked,), chunks + hidden


def _send(edge: Edge, request: bytes) -> None:
    """Sends it, and waits until the edge has done with it."""
    with connected(edge.port) as line, suppress(ConnectionError):
        line.sendall(request)
        line.shutdown(socket.SHUT_WR)
        until_closed(line)
