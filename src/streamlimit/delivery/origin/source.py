"""The source of a relayed media file: the origin's reply, and which bytes of the file it contains."""

import re
from collections.abc import AsyncIterator, Mapping

from msgspec import Struct

from streamlimit.delivery.origin.client import OriginClient, Reply, about
from streamlimit.delivery.origin.fetching import ABSENT
from streamlimit.errors import OriginFailed, UnknownSegment

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_is_plain = re.compile(r"[ -~]{1,256}").fullmatch

NO_HEAD = frozenset({405, 501})
"""Statuses of an origin that supports only GET."""


class Unsatisfiable(Exception):
    """The file has no byte of the requested range; `content_range`: the origin's, if it is valid."""

    def __init__(self, content_range: str | None) -> None:
        super().__init__("the origin's file has no such range")
        self.content_range = content_range


class Source(Struct, frozen=True):
    """The bytes *first*–*last* (inclusive; None: as far as it goes) of a file of *size* bytes (None: not stated).

    `status`: 200, 206, 304. Its `reply` is to be closed. The reply may be longer, with `skipped` bytes before.
    """

    reply: Reply
    status: int
    first: int = 0
    last: int | None = None
    size: int | None = None
    skipped: int = 0

    @property
    def length(self) -> int | None:
        """The number of bytes; None: not known."""
        return None if self.last is None else self.last + 1 - self.first

    def validator(self, name: str) -> str | None:
        """The origin's header *name*: `etag` or `last-modified`."""
        found = self.reply.headers.get(name)
        return found if found is not None and _is_plain(found) else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The requested bytes in chunks as they arrive. Raises `OriginFailed`, also where they are fewer."""
        skip, left = self.skipped, self.length
        async for chunk in self.reply.chunks():
            part = chunk[skip:] if skip else chunk
            skip = max(skip - len(chunk), 0)
            if left is not None:
                part = part[:left]
                left -= len(part)
            if part:
                yield part
            if left == 0:
                return  # what follows is not wanted
        if left:
            raise OriginFailed("the origin's answer ends too early")


async def open_source(
    client: OriginClient, url: str, headers: Mapping[str, str], span: tuple[int, int] | None = None,
    method: str = "GET", patience: float | None = None,
) -> Source:  # fmt: skip
    """The source of a file; *span*: exactly these bytes, also of an origin that does not support ranges.

    Raises `UnknownSegment`, `Unsatisfiable`, `OriginFailed`, `OriginTimeout`.
    """
    own = headers if span is None else {**headers, "range": f"bytes={span[0]}-{span[1]}"}
    try:
        reply = await client.open(url, own, method, patience)
        if method == "HEAD" and reply.status in NO_HEAD:
            await reply.close()
            reply = await client.open(url, own, "GET", patience)  # only its head is used
        try:
            return _source(reply, own, span, method)
        except BaseException:
            await reply.close()
            raise
    except OriginFailed as problem:
        raise about(url, problem) from problem.__cause__


def _source(reply: Reply, asked: Mapping[str, str], span: tuple[int, int] | None, method: str) -> Source:
    if reply.status in ABSENT:
        raise UnknownSegment("the origin has no such file")
    if reply.status == 416 and "range" in asked and span is None:
        stated = reply.headers.get("content-range")
        raise Unsatisfiable(stated if stated is not None and _is_plain(stated) else None)
    if reply.status == 304 and ("if-none-match" in asked or "if-modified-since" in asked):
        return Source(reply, 304)
    if reply.status == 200:
        return _of_all(reply, span, method)
    if reply.status == 206 and "range" in asked:
        return _of_part(reply, span)
    raise OriginFailed(f"the origin answers with status {reply.status}")


def _of_all(reply: Reply, span: tuple[int, int] | None, method: str) -> Source:
    if method == "HEAD":
        length = reply.headers.get("content-length", "")
        return Source(reply, 200, size=int(length) if length.isdecimal() else None)
    size = reply.length
    if span is None:
        return Source(reply, 200, 0, None if size is None else size - 1, size)
    if size is not None and span[1] >= size:
        raise OriginFailed("the origin's file is shorter than its playlist says")
    return Source(reply, 200, *span, size, skipped=span[0])


def _of_part(reply: Reply, span: tuple[int, int] | None) -> Source:
    found = _CONTENT_RANGE.fullmatch(reply.headers.get("content-range", ""))
    if found is None or "content-encoding" in reply.headers:
        raise OriginFailed("the origin's answer does not say which bytes it is")
    first, last = int(found[1]), int(found[2])
    size = None if found[3] == "*" else int(found[3])
    length = reply.length
    if last < first or (length is not None and length != last + 1 - first) or (size is not None and last >= size):
        raise OriginFailed("the origin's answer contradicts itself")
    if span is not None and (first, last) != span:
        raise OriginFailed("the origin's answer is another range than was asked for")
    return Source(reply, 206, first, last, size)
