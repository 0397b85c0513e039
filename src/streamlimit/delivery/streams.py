"""The known streams: those of the catalog and, with `ledger_streams = "any"`, all others."""

import asyncio
from collections.abc import Callable
from typing import Protocol
from urllib.parse import unquote

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.naming import Place, is_free, is_relative, place_in, place_of
from streamlimit.delivery.stream import Stream
from streamlimit.errors import CatalogError, StreamlimitError, UnknownSegment, UnknownStream


class Remote(Protocol):
    """A catalog that has to ask an origin before a look-up."""

    def streams(self) -> list[Stream]: ...
    def stream(self, stream_id: str) -> Stream: ...
    async def look(self, stream_id: str, fresh: bool = False) -> None: ...


class Streams:
    """The known streams.

    *catalog* None: none is configured. *any_stream*: streams whose files are elsewhere count, too. `is_remote`: `look`
    is to be awaited before other methods, which answer from what it found.
    """

    def __init__(self, catalog: Catalog | Remote | None, any_stream: bool) -> None:
        self._catalog, self._any = catalog, any_stream
        self._origin = None if catalog is None or isinstance(catalog, Catalog) else catalog
        self.is_remote = self._origin is not None
        self.listing = asyncio.Lock()
        """Held by a caller that lists all streams, which may be thousands: viewers wait for a step of one list only."""
        self.require_beatable: Callable[[str], object] = self._require_beatable
        """Checks the stream of a heartbeat, raising as `find`; without a catalog any stream is allowed."""
        if catalog is not None and not any_stream:
            self.require_beatable = catalog.stream

    async def look(self, stream_id: str, fresh: bool = False) -> None:
        """Asks an origin for due playlists of the stream; does nothing for a folder."""
        if self._origin is not None:
            await self._origin.look(stream_id, fresh)

    async def look_for(self, stream_id: str, name: str) -> None:
        """As `look`, and once more if the live stream's segment of that name is not known yet."""
        if self._origin is None:
            return
        await self._origin.look(stream_id)
        try:
            stream = self._origin.stream(stream_id)
        except StreamlimitError:
            return  # the request gets the error at its look-up
        if stream.live and stream.find(name) is None:
            await self._origin.look(stream_id, fresh=True)

    async def all(self) -> list[Stream]:
        """All streams that can be served; of an origin those known at the moment. Others have their turn meanwhile."""
        if not isinstance(self._catalog, Catalog):
            return [] if self._catalog is None else self._catalog.streams()
        for _ in self._catalog.look_over():
            await asyncio.sleep(0)
        return self._catalog.known()

    def find(self, stream_id: str) -> Stream | None:
        """The catalog's stream; None: one whose files are elsewhere. Raises `UnknownStream`, `CatalogError`."""
        if self._catalog is not None:
            try:
                return self._catalog.stream(stream_id)
            except (UnknownStream, CatalogError):
                if not self._any:
                    raise
        elif not self._any:
            raise UnknownStream("no streams are set here")
        return None

    def _require_beatable(self, stream_id: str) -> None:
        if self._catalog is not None:
            self.find(stream_id)

    def place(self, stream_id: str, name: str) -> Place:
        """The place of the segment of that name. Raises as `require_beatable`, and `UnknownSegment`.

        For a stream whose files are elsewhere it is derived from the name (naming.py).
        """
        stream = None if self._catalog is None else self.find(stream_id)
        if stream is None or self._catalog is None:
            if is_free(name) or not is_relative(name):
                raise UnknownSegment("no segment is called so")
            return place_of(name)
        segment = stream.find(name)
        if segment is None and stream.live and isinstance(self._catalog, Catalog):
            # The playlist on disk may be newer than the known one.
            segment = self._catalog.stream(stream_id, fresh=True).find(name)
        if segment is None and "%" in name:
            segment = stream.find(unquote(name))  # as the header `Streamlimit-Segment` spells it
        if segment is None:
            raise UnknownSegment("the stream has no segment of that name")
        return place_in(segment)
