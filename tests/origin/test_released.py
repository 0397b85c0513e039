"""A connection to an origin is given back on each way that a request for a segment can end."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streamlimit.delivery.origin import client as origin_client
from streamlimit.delivery.origin.address import Address
from streamlimit.delivery.origin.client import OriginClient
from streamlimit.delivery.origin.source import Source, open_source
from streamlimit.errors import OriginFailed, UnknownStream
from streamlimit.web.origin_play import OriginPlaybackFiles
from streamlimit.web.origin_relay import OriginRelay
from tests.origin import server as does
from tests.origin.server import origin

ANY: Any = None


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin_client, "MAX_CONNECTIONS", 1)


def _again(folder: Path, behave: does.Behaviour, use: Callable[[OriginClient, Source], Awaitable[None]]) -> bytes:
    """What the origin answers after the answer to the request before went through *use*."""
    (folder / "a.ts").write_bytes(b"media")

    async def run(url: str) -> bytes:
        client = OriginClient(Address.parse(url), 2)
        try:
            await use(client, await open_source(client, url + "/a.ts", {}))
            return (await client.whole(url + "/a.ts", {}, 100)).content
        finally:
            await client.close()

    with origin(folder) as running:
        running.misbehave("/a.ts", behave)
        return asyncio.run(run(running.url))


def test_where_a_client_of_http_1_0_cannot_be_told_the_end(tmp_path: Path) -> None:
    async def use(client: OriginClient, source: Source) -> None:
        request: Any = SimpleNamespace(version="1.0")
        exchange: Any = SimpleNamespace(start=None)
        with pytest.raises(OriginFailed, match="no length"):
            await OriginRelay(client, ANY).hand_out(source, (), 200, b"", ANY, request, exchange)

    assert _again(tmp_path, does.chunked, use) == b"media"


def test_where_the_stream_is_gone_when_its_hinted_part_comes(tmp_path: Path) -> None:
    async def use(_client: OriginClient, source: Source) -> None:
        async def look(*_: object, fresh: bool) -> None:
            raise UnknownStream("no stream tiny")

        files: Any = OriginPlaybackFiles.__new__(OriginPlaybackFiles)
        files._streams = SimpleNamespace(look=look)
        asked, stream = SimpleNamespace(stream_id="tiny", path="a.ts"), SimpleNamespace(hints={"a.ts"})
        with pytest.raises(UnknownStream):
            await files._play_source(source, ANY, asked, stream, ANY, ANY)

    assert _again(tmp_path, lambda handler, content: handler.answer(200, content), use) == b"media"
