"""URLs of an origin's files, what redirects may lead to, and playlists whose URIs are made relative."""

import asyncio
import ssl
import threading
from pathlib import Path

import httpx
import pytest

from streamlimit.delivery.origin.address import Address, localised
from streamlimit.delivery.origin.client import OriginClient
from streamlimit.errors import OriginFailed, SettingsError
from streamlimit.settings import load_settings
from tests.origin import server as does
from tests.origin.server import origin
from tests.webhooks.test_tls import NAME, certificate

HERE = Address.parse("https://origin.example/vod/")


@pytest.mark.parametrize(
    ("stream", "path", "url"),
    [
        ("film", "index.m3u8", "/vod/film/index.m3u8"),
        ("a|b+c@d", "v 1/první.ts", "/vod/a%7Cb%2Bc%40d/v%201/prvn%C3%AD.ts"),
        ("x?y#z", "a?b#c%2f.ts", "/vod/x%3Fy%23z/a%3Fb%23c%252f.ts"),
        ("%2e%2e", "a;b.ts", "/vod/%252e%252e/a%3Bb.ts"),
    ],
)
def test_a_name_is_one_name_of_the_url(stream: str, path: str, url: str) -> None:
    assert HERE.url(stream, path) == "https://origin.example" + url


@pytest.mark.parametrize(
    ("location", "led"),
    [
        ("/other/a.ts", "https://origin.example/other/a.ts"),
        ("b.ts?token=1", "https://origin.example/vod/film/b.ts?token=1"),
        ("https://origin.example:443/x", "https://origin.example:443/x"),
        ("https://ORIGIN.example/x", "https://ORIGIN.example/x"),
        ("http://origin.example/x", None),
        ("https://origin.example:8443/x", None),
        ("https://origin.example.evil/x", None),
        ("https://origin.example@evil/x", None),
        ("https://user:pw@origin.example/x", None),
        ("//evil/x", None),
        ("/\\evil/x", "https://origin.example/\\evil/x"),
        ("https://[::1/x", None),
        ("https://origin.example/a b", None),
        ("file:///etc/passwd", None),
    ],
)
def test_a_redirect_leads_within_the_origin_or_nowhere(location: str, led: str | None) -> None:
    assert HERE.followed("https://origin.example/vod/film/a.ts", location) == led


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("https://origin.example/vod/film/v/1.ts", "../v/1.ts"),
        ("https://origin.example:443/vod/film/v/1.ts", "../v/1.ts"),
        ("//origin.example/vod/film/v/1.ts", "../v/1.ts"),
        ("/vod/film/1.ts", "../1.ts"),
        ("https://origin.example/vod/other/1.ts", None),
        ("https://origin.example.evil/vod/film/1.ts", None),
        ("http://origin.example/vod/film/1.ts", None),
        ("https://evil/vod/film/1.ts", None),
        ("https://evil/?u=/vod/film/1.ts", None),
        ("1.ts", None),
    ],
)
@pytest.mark.parametrize(
    "text", ["#EXTINF:2,\n{}\n", '#EXT-X-MAP:URI="{}"\n', "<BaseURL>{}</BaseURL>", "<S media='{}'/>"]
)
def test_uris_of_the_streams_own_files_are_made_relative(uri: str, meant: str | None, text: str) -> None:
    found = localised(text.format(uri).encode(), HERE, "film", "sub/media.m3u8")
    assert found.decode() == text.format(uri if meant is None else meant)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x", "http://", "https://user:pw@host/x", "https://user@host/x", "https://host/x?y", "https://host/x#y",
        "https://host:0/x", "https://host:99999/x", "https://host/a/../b", "https://host/a b", "https://host/ä", "file:///srv",
    ],
)  # fmt: skip
def test_a_wrong_origin_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^streams: "):
        load_settings(streams=url)


def test_an_origins_patience_is_x_unless_it_is_said() -> None:
    assert load_settings(streams="https://host/x").origin_wait == 6
    assert load_settings(streams="https://host/x", origin_seconds=2).origin_wait == 2


def test_an_origins_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, private = certificate(tmp_path)
    (tmp_path / "a.ts").write_bytes(b"media")

    async def fetched(host: str, port: int) -> bytes:
        client = OriginClient(Address.parse(f"https://{host}:{port}/"), 5)
        try:
            return (await client.whole(f"https://{host}:{port}/a.ts", {}, 100)).content
        finally:
            await client.close()

    with origin(tmp_path, (str(public), str(private))) as running:
        with pytest.raises(OriginFailed, match="certificate"):
            asyncio.run(fetched("127.0.0.1", running.port))
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        with pytest.raises(OriginFailed, match="certificate"):  # it is another's
            asyncio.run(fetched("127.0.0.1", running.port))
    assert NAME


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_nobody_asked_for_answers_no_other_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """It has come when the one before it is read: over TLS as records that nobody has unpacked yet."""
    public, private = certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=public)
    trusting.check_hostname = False
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: trusting)
    for name in ("a.ts", "b.ts"):
        (tmp_path / name).write_bytes(name.encode())
    is_out = threading.Event()

    def twice(handler: does.Handler, content: bytes) -> None:
        handler.answer(200, content)
        handler.answer(200, b"another")
        is_out.set()

    async def fetched(port: int) -> list[bytes]:
        base = f"{scheme}://127.0.0.1:{port}/"
        client = OriginClient(Address.parse(base), 5)
        try:
            reply = await client.open(base + "a.ts", {})
            assert is_out.wait(20)
            first = b"".join([chunk async for chunk in reply.chunks()])
            await reply.close()
            return [first, *[(await client.whole(base + "b.ts", {}, 100)).content for _ in range(2)]]
        finally:
            await client.close()

    with origin(tmp_path, (str(public), str(private)) if scheme == "https" else None) as running:
        running.misbehave("/a.ts", twice)
        assert asyncio.run(fetched(running.port)) == [b"a.ts", b"b.ts", b"b.ts"]
        assert running.connections == 2


def test_a_connection_is_used_again_and_one_that_went_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"media")
    connections = set[int]()

    def note(handler: does.Handler, content: bytes) -> None:
        connections.add(handler.client_address[1])
        handler.answer(200, content)

    async def run(url: str, drop: bool) -> None:
        client = OriginClient(Address.parse(url), 5)
        for _ in range(3):
            assert (await client.whole(url + "/a.ts", {}, 100)).content == b"media"
        if drop:
            running.misbehave("/a.ts", drop_then)
            assert (await client.whole(url + "/a.ts", {}, 100)).content == b"media"
        await client.close()

    def drop_then(handler: does.Handler, _content: bytes) -> None:
        running.misbehave("/a.ts", note)
        handler.hang_up()

    with origin(tmp_path) as running:
        running.misbehave("/a.ts", note)
        asyncio.run(run(running.url, drop=False))
        assert len(connections) == 1
        asyncio.run(run(running.url, drop=True))
        assert len(connections) == 3


def test_no_cookie_and_no_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def run(url: str) -> None:
        client = OriginClient(Address.parse(url), 5)
        for _ in range(2):
            await client.whole(url + "/a.ts", {}, 100)
        await client.close()

    with origin(tmp_path) as running:
        running.misbehave("/a.ts", lambda handler, _: handler.answer(200, b"x", {"Set-Cookie": "a=b"}))
        asyncio.run(run(running.url))
        assert len(running.asked) == 2
        assert not any("cookie" in headers for _, _, headers in running.asked)
