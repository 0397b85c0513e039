"""The catalog of an origin's streams, discovered by fetching their entries, such as `<origin>/<stream_id>/index.m3u8`.

Concurrent requests for a playlist ask the origin once. `look` asks the origin for what is due; `stream` returns what is
known since, without a request.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any

from streamlimit.delivery.body import Body
from streamlimit.delivery.entry import Problems, playlist_rank, streams_of
from streamlimit.delivery.free import by_name
from streamlimit.delivery.origin.client import OriginClient, TooLarge
from streamlimit.delivery.origin.entry import AGAIN_SECONDS, MAX_PLAYLISTS, OriginEntry, candidates
from streamlimit.delivery.origin.fetching import fetch
from streamlimit.delivery.origin.reader import Kept, OriginReader, Want
from streamlimit.delivery.paths import is_safe
from streamlimit.delivery.reading import Reading, build_from, read_all
from streamlimit.delivery.stream import Stream
from streamlimit.errors import OriginTimeout, StreamlimitError, UnknownSegment, UnknownStream
from streamlimit.ids import wrong_with_id

MAX_STREAMS = 2_000
"""Most streams that are kept, those asked for last."""
MAX_UNKNOWN = 10_000
"""Most names that are remembered as unknown."""
MAX_LOOKS = 16
"""Names that are looked up at the same time; others wait."""
ABREAST = 4
"""Files of one stream that a look asks for at the same time: a small origin accepts few connections at once, and the
others would wait for a second, or for a time-out. What a viewer asks for waits for no other file."""
MAX_ROUNDS = 6
"""Most rounds of fetching for one stream: a playlist names others, these an index …"""
MAX_WANTED = 500
"""Most files of one round."""
MAX_SMALL_BYTES = 64 * 1024 * 1024
"""Most bytes of inits, keys, and texts that are kept."""
LARGE = 256 * 1024
"""Characters beyond which playlists are parsed in a thread: a live day takes a tenth of a second."""


class OriginCatalog:
    """The streams of the origin of *client*. *keep_seconds*: X/2. *on_problem*: as in `Catalog`."""

    def __init__(
        self,
        client: OriginClient,
        keep_seconds: float,
        on_problem: Callable[[str, str | None], None] | None,
    ) -> None:
        self.client, self._keep = client, keep_seconds
        self.problems = Problems(on_problem)
        self._entries: OrderedDict[str, OriginEntry] = OrderedDict()
        self._unknown: dict[str, float] = {}
        self._small: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._running: dict[Hashable, asyncio.Task[Any]] = {}
        self._building: dict[str, asyncio.Lock] = {}
        self._looks = asyncio.Semaphore(MAX_LOOKS)

    def streams(self) -> list[Stream]:
        """The streams known at the moment, by id."""
        return streams_of(self._entries.values())

    def stream(self, stream_id: str) -> Stream:
        """The stream as of the last `look`. Raises `UnknownStream`, `CatalogError`, `OriginFailed`."""
        entry = self._entries.get(stream_id)
        if entry is None:
            raise UnknownStream(f"no stream {stream_id}")
        if entry.stream is None and entry.failure is not None:
            raise _again(entry.failure)
        return entry.served()

    async def look(self, stream_id: str, fresh: bool = False) -> None:
        """Asks the origin for due playlists of the stream; *fresh*: for all of them, not only those in use."""
        now, entry = time.monotonic(), self._entries.get(stream_id)
        if entry is not None and not (now >= entry.due or (fresh and entry.due_playlists(now, True))):
            return
        if entry is None and (wrong_with_id(stream_id) is not None or self._unknown.get(stream_id, 0) > now):
            return
        await self._once((stream_id, fresh), lambda: self._look(stream_id, fresh))

    async def playlist(self, stream_id: str, path: str, query: str = "", patience: float | None = None) -> Body:
        """The playlist at *path* of a known stream, as of now or of a moment ago.

        *query*: of the request to the origin; *patience*: its time-out in seconds. Raises `UnknownSegment`,
        `OriginFailed`.
        """
        entry, want = self._known(stream_id), Want(path)
        if not is_safe(path):
            raise UnknownSegment("it is no file of a stream")
        if query or entry.is_due(path, time.monotonic()):
            await self._fetched(entry, want, query, patience)
            self._take_in(entry, path)
            await self._build(entry)
        kept = entry.kept[want]
        kept.asked_at = time.monotonic()
        return _body(kept)

    async def small(self, stream_id: str, path: str, most: int) -> Body | None:
        """The content of an init, a key or a text; None: larger than *most*.

        Raises `UnknownSegment`, `OriginFailed`.
        """
        if not is_safe(path):
            raise UnknownSegment("it is no file of a stream")
        key = (stream_id, path)
        kept = self._small.get(key)
        seconds = self._keep if kept is None or kept.failure is None else AGAIN_SECONDS
        if kept is None or time.monotonic() - kept.checked_at >= seconds:
            await self._once(("small", *key), lambda: self._fetch_small(stream_id, path))
            kept = self._small[key]
        if isinstance(kept.failure, TooLarge):
            return None
        found = _body(kept)
        return found if found.size <= most else None

    async def close(self) -> None:
        """Closes the connections to the origin."""
        await self.client.close()

    def _known(self, stream_id: str) -> OriginEntry:
        self.stream(stream_id)
        return self._entries[stream_id]

    async def _look(self, stream_id: str, fresh: bool) -> None:
        entry = self._entries.get(stream_id) or OriginEntry(stream_id, self._keep, 4 * self._keep)
        if not entry.playlists:
            async with self._looks:
                await self._find(entry)
        if not entry.playlists and entry.failure is None:
            self._forget(stream_id)
            return
        self._remember(entry)
        if not entry.playlists:
            entry.due = time.monotonic() + AGAIN_SECONDS
            return
        due = entry.due_playlists(time.monotonic(), fresh)
        await self._fetch_all(entry, map(Want, due))
        await self._build(entry)
        entry.due = time.monotonic() + (AGAIN_SECONDS if entry.stream is None else entry.period)

    async def _find(self, entry: OriginEntry) -> None:
        """Finds the stream's entry playlists, by the usual names."""
        names = candidates(entry.stream_id)
        await self._fetch_all(entry, map(Want, names))
        found = [name for name in names if entry.kept[Want(name)].body is not None]
        # Object stores answer 403 for missing files, too.
        failed = [kept.failure for kept in map(entry.kept.__getitem__, map(Want, names)) if kept.status != 403]
        entry.playlists = sorted(found, key=playlist_rank)
        entry.failure = None if found else next((each for each in failed if each is not None), None)
        entry.kept = {want: kept for want, kept in entry.kept.items() if want.path in found}
        entry.is_stale = True

    async def _fetch_all(self, entry: OriginEntry, wants: Iterable[Want]) -> None:
        """Fetches files, a few at a time. An origin that says nothing is not asked for the rest, which fails, too."""
        waiting = deque(wants)

        async def go_on() -> None:
            is_answering = True
            while waiting and is_answering:
                want = waiting.popleft()
                await self._fetched(entry, want)
                is_answering = not isinstance(entry.kept[want].failure, OriginTimeout)

        await asyncio.gather(*(go_on() for _ in range(ABREAST)))
        for want in waiting:
            mute = OriginTimeout("the origin did not answer in time")
            entry.kept.setdefault(want, Kept(failure=mute, checked_at=time.monotonic()))

    async def _fetched(self, entry: OriginEntry, want: Want, query: str = "", patience: float | None = None) -> None:
        await self._once((entry.stream_id, want, query), lambda: self._fetch(entry, want, query, patience))

    async def _fetch(self, entry: OriginEntry, want: Want, query: str, patience: float | None) -> None:
        kept = entry.kept.get(want) or Kept()
        waits = self.client.seconds if patience is None else patience
        changed = await fetch(self.client, entry.stream_id, want, kept, query, waits)
        kept.checked_at = time.monotonic()
        entry.is_stale = entry.is_stale or changed or want not in entry.kept
        entry.kept[want] = kept
        if query and kept.failure is not None:
            failure, kept.failure = kept.failure, None  # an old failure
            raise failure

    async def _fetch_small(self, stream_id: str, path: str) -> None:
        kept = self._small.pop((stream_id, path), None) or Kept()
        await fetch(self.client, stream_id, Want(path), kept, "", self.client.seconds)
        kept.checked_at = time.monotonic()
        self._small[stream_id, path] = kept
        while sum(each.size for each in self._small.values()) > MAX_SMALL_BYTES or len(self._small) > MAX_UNKNOWN:
            self._small.popitem(last=False)

    def _take_in(self, entry: OriginEntry, path: str) -> None:
        """Adds an existing playlist that no other names to the entries."""
        stream = entry.stream
        is_new = stream is not None and path not in stream.files and by_name(path) == "playlist"
        if is_new and entry.kept[Want(path)].body is not None and len(entry.playlists) < MAX_PLAYLISTS:
            entry.playlists.append(path)
            entry.is_stale = True

    async def _build(self, entry: OriginEntry) -> None:
        """Reads changed playlists; missing files that they name are fetched, and they are read again."""
        async with self._building.setdefault(entry.stream_id, asyncio.Lock()):
            now = time.monotonic()
            if not entry.is_stale and entry.bad_since is None:
                return
            entry.is_stale = False
            for _ in range(MAX_ROUNDS):
                reader = OriginReader(entry.kept, entry.cache)
                reading = await _read(reader, entry)
                stream = build_from(reader, entry.stream_id, reading.listings, entry.stream)
                if not reader.wanted:
                    break
                wanted = sorted(reader.wanted, key=lambda want: want.path)[:MAX_WANTED]
                await self._fetch_all(entry, wanted)
            entry.is_stale = False
            self._adopt(entry, reader, reading, stream, now)

    def _adopt(
        self, entry: OriginEntry, reader: OriginReader, reading: Reading, stream: Stream | None, now: float
    ) -> None:
        if not entry.adopt(stream, reading, now):
            return
        reader.forget_unused()
        if stream is None:
            failures = [entry.kept[Want(path)].failure for path in entry.playlists]
            entry.failure = next((each for each in failures if each is not None), None)
            if all(entry.kept[Want(path)].body is None for path in entry.playlists):
                entry.playlists = []
        self.problems.report(entry.stream_id, entry.problem)

    def _remember(self, entry: OriginEntry) -> None:
        self._unknown.pop(entry.stream_id, None)
        self._entries[entry.stream_id] = entry
        # A stream that cannot be fetched at the moment must not evict a known one.
        self._entries.move_to_end(entry.stream_id, last=entry.stream is not None or bool(entry.playlists))
        while len(self._entries) > MAX_STREAMS:
            self._drop(next(iter(self._entries)))

    def _forget(self, stream_id: str) -> None:
        """Remembers for a while that the stream is unknown."""
        self._drop(stream_id)
        if len(self._unknown) >= MAX_UNKNOWN:
            self._unknown.clear()
        self._unknown[stream_id] = time.monotonic() + self._keep

    def _drop(self, stream_id: str) -> None:
        self._entries.pop(stream_id, None)
        self._building.pop(stream_id, None)
        self.problems.pop(stream_id, None)

    async def _once(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs *work*, or waits for the running one of the same *key*. A cancelled caller does not cancel it."""
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.ensure_future(work())
            running.add_done_callback(lambda task: self._ran(key, task))
        await asyncio.shield(running)

    def _ran(self, key: Hashable, task: "asyncio.Task[Any]") -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # the waiting requests get it


async def _read(reader: OriginReader, entry: OriginEntry) -> Reading:
    size = sum(kept.size for kept in entry.kept.values() if kept.body is not None)
    if size < LARGE:
        return read_all(reader, entry.playlists)
    return await asyncio.to_thread(read_all, reader, entry.playlists)


def _body(kept: Kept) -> Body:
    if kept.failure is not None:
        raise _again(kept.failure)
    if kept.body is None:
        raise UnknownSegment("the origin has no such file")
    return kept.body


def _again(failure: StreamlimitError) -> StreamlimitError:
    """A copy of an error for another caller: an error raised twice would accumulate tracebacks."""
    again = type(failure)(str(failure))
    again.__cause__ = failure.__cause__ or failure
    return again
