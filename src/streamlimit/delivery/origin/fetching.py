"""Conditional fetching of small files of an origin: playlists, inits, keys, texts."""

from hashlib import blake2b

from streamlimit.delivery.body import Body, MemoryFile
from streamlimit.delivery.origin.address import localised
from streamlimit.delivery.origin.client import OriginClient, Whole, about
from streamlimit.delivery.origin.reader import Kept, Want
from streamlimit.delivery.paths import PLAYLIST_SUFFIXES, suffix_of
from streamlimit.errors import OriginFailed

MAX_PLAYLIST = 8 * 1024 * 1024
"""Most bytes of a playlist; a live day in 2-second segments is 3 MB."""
ABSENT = frozenset({404, 410})


async def fetch(client: OriginClient, stream_id: str, want: Want, kept: Kept, query: str, patience: float) -> bool:
    """Updates *kept*; returns whether the file changed. An error becomes its `failure`.

    *query*: of the request; *patience*: seconds for its first byte.
    """
    url = client.address.url(stream_id, want.path, query)
    try:
        if want.is_look:
            return await _look(client, url, kept)
        kept.status = 0
        answer = await client.whole(url, _conditions(want, kept, query), MAX_PLAYLIST, patience)
        kept.status = answer.status
        changed = _adopt(client, stream_id, want, kept, answer)
    except OriginFailed as problem:
        kept.failure = about(url, problem)
        return False
    kept.failure = None
    return changed


async def _look(client: OriginClient, url: str, kept: Kept) -> bool:
    reply = await client.open(url, {}, "HEAD")
    await reply.close()
    kept.size = 1 if reply.status == 200 else 0
    return True


def _conditions(want: Want, kept: Kept, query: str) -> dict[str, str]:
    if want.span is not None:
        return {"range": f"bytes={want.span[0]}-{want.span[1]}", "accept-encoding": "identity"}
    if kept.body is None or query:
        return {}
    known = {"if-none-match": kept.etag, "if-modified-since": None if kept.etag else kept.modified}
    return {name: value for name, value in known.items() if value is not None and value.isascii()}


def _adopt(client: OriginClient, stream_id: str, want: Want, kept: Kept, answer: Whole) -> bool:
    if answer.status == 304 and kept.body is not None:
        return False
    if answer.status in ABSENT:
        was_there, kept.body, kept.size = kept.body is not None, None, 0
        return was_there
    content = _content(want, answer)
    if suffix_of(want.path) in PLAYLIST_SUFFIXES:
        content = localised(content, client.address, stream_id, want.path)
    kept.etag, kept.modified = answer.headers.get("etag"), answer.headers.get("last-modified")
    if kept.body is not None and kept.body.content == content:
        return False
    is_as_sent = "content-encoding" not in answer.headers and content is answer.content
    kept.body = _body(content, want.path, kept.etag if is_as_sent else None)
    kept.version += 1
    kept.size = _size(answer)
    return True


def _content(want: Want, answer: Whole) -> bytes:
    """The wanted bytes of the reply. Raises `OriginFailed`."""
    if answer.status == 200:
        return answer.content if want.span is None else answer.content[want.span[0] : want.span[1] + 1]
    if answer.status == 206 and want.span is not None:
        return answer.content
    raise OriginFailed(f"the origin answers with status {answer.status}")


def _size(answer: Whole) -> int:
    """The size of the whole file, of which the reply may be a part."""
    total = answer.headers.get("content-range", "").rpartition("/")[2]
    return int(total) if total.isdecimal() and total.isascii() and len(total) < 19 else len(answer.content)


def _body(content: bytes, path: str, etag: str | None) -> Body:
    """*content* as a `Body`, with the origin's *etag* if it is a strong one, else one made of the bytes."""
    body = Body(MemoryFile(content), path)
    is_strong = etag is not None and etag.startswith('"') and etag.endswith('"') and etag.isascii() and len(etag) > 2
    body.etag = etag if etag is not None and is_strong else f'"{blake2b(content, digest_size=9).hexdigest()}"'
    return body
