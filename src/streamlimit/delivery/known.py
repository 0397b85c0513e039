"""Which streams there are: those of the catalog, and where the ledger is kept for any stream, all others, too."""

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.stream import Stream
from streamlimit.errors import CatalogError, UnknownStream


class Streams:
    """*catalog* None: no streams are set. *any_stream*: those whose files are elsewhere are streams, too."""

    def __init__(self, catalog: Catalog | None, any_stream: bool) -> None:
        self._catalog, self._any = catalog, any_stream

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

    def require_beatable(self, stream_id: str) -> None:
        """Raises as `find`, for a heartbeat: without a catalog every stream may have them."""
        if self._catalog is not None:
            self.find(stream_id)

    def entry(self, stream_id: str) -> str:
        """What its players begin with, within the stream; empty where its files are elsewhere. Raises as `find`."""
        stream = self.find(stream_id)
        return "" if stream is None else stream.entry
