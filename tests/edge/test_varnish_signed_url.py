"""Varnish with deploy/varnish/signed-url.vcl as the CDN of `deliver = "redirect"`: the real program verifies ours."""

import http.client
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from streamlimit.edge.signed_url import signed_url, signer
from streamlimit.settings import CdnSettings
from tests.edge.calls import Viewer, some_user
from tests.edge.programs import DEPLOY, Edge, origin, running, varnishd
from tests.needs import needs, needs_file
from tests.ports import free_port
from tests.service import Service, started, temporary_folder
from tests.streams import BIG, make_stream

TEXT = (DEPLOY / "varnish/signed-url.vcl").read_text()


@pytest.fixture(scope="module")
def cdn() -> Iterator[Edge]:
    """streamlimit sends players to Varnish, which has the files from an origin."""
    needs("varnishd")
    needs_file("usr/lib/*/varnish/vmods/libvmod_digest.so", "varnish-vmod-digest")
    with temporary_folder() as folder, ExitStack() as stack:
        port = free_port()
        make_stream(folder / "streams", "film", 3)
        files = stack.enter_context(origin(folder / "streams"))
        (folder / "signed-url.vcl").write_text(TEXT.replace('"9000"', f'"{files}"'))
        command = varnishd(folder / "signed-url.vcl", folder, port)
        stack.enter_context(running(command, port, folder / "varnish.out"))
        settings = {"streams": str(folder / "streams"), "deliver": "redirect", "cdn": told(port)}
        yield Edge(port, stack.enter_context(started(folder, **settings)))


def told(port: int) -> dict[str, object]:
    """The table in the recipe's own words."""
    key = re.search(r'^#   key = "(\S+)"', TEXT, re.MULTILINE)
    assert key is not None
    return {"kind": "fastly", "url": f"http://127.0.0.1:{port}/streams", "key": key[1], "lifetime": 30}


def location(service: Service, path: str) -> str:
    """Where a player is sent."""
    line = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        line.request("GET", path)
        answer = line.getresponse()
        assert answer.status == 302
        found = urlsplit(answer.headers["location"])
        return f"{found.path}?{found.query}"
    finally:
        line.close()


def test_varnish_hands_out_what_streamlimit_signed(cdn: Edge) -> None:
    viewer = Viewer(cdn.service, some_user(), "s", "film")
    for number in range(2):
        answer = cdn.get(location(cdn.service, viewer.uri(f"{number}.ts")))
        assert (answer.status, len(answer.body)) == (200, BIG)
        assert answer.headers["access-control-allow-origin"] == "*"
    found = viewer.state()
    assert found is not None
    assert found["state"] == "active"


def test_varnish_hands_out_nothing_else(cdn: Edge) -> None:
    settings = CdnSettings.model_validate(told(cdn.port))

    def signed(path: str, now: float) -> str:
        found = urlsplit(signed_url(settings, signer(settings), "film", path, now))
        return f"{found.path}?{found.query}"

    good = signed("0.ts", time.time())
    assert cdn.call("HEAD", good).status == 200
    path, _, token = good.partition("?token=")
    until, mac = token.split("_")
    for wrong in (
        path,
        signed("0.ts", time.time() - 31),
        f"{path}?token={int(until) + 9}_{mac}",
        f"{path}?token={until}_{mac[::-1]}",
        f"{path}?token={until}_",
        good.replace("0.ts", "1.ts"),
        good.replace("0.ts", "x/../0.ts"),
        good + "&token=1",
        path + f"?a=b&token={token}",
        good.replace("/streams/", "/"),
    ):
        assert cdn.get(wrong).status == 403, wrong
    assert cdn.call("POST", good).status == 405
