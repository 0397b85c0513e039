"""The reader of an origin's stream: reads fetched files, and notes missing ones for the next round. No I/O."""

from msgspec import Struct

from streamlimit.delivery.body import Body
from streamlimit.delivery.paths import is_safe
from streamlimit.delivery.reader import Reader, Stamp
from streamlimit.errors import CatalogError, StreamlimitError

Span = tuple[int, int]


class Kept(Struct):
    """A file as it was fetched last. `body` None: it does not exist, or (`failure`) could not be fetched so far.

    `status`: of the last reply. `version` grows with each change; `size`: of the whole file, of which `body` may be a
    part.
    """

    body: Body | None = None
    version: int = 0
    size: int = 0
    checked_at: float = float("-inf")
    asked_at: float = float("-inf")
    failure: StreamlimitError | None = None
    status: int = 0
    etag: str | None = None
    modified: str | None = None


class Want(Struct, frozen=True):
    """A file to be fetched: the whole, the bytes of `span`, or (`is_look`) only whether it exists."""

    path: str
    span: Span | None = None
    is_look: bool = False


class OriginReader(Reader):
    """One reading of a stream. `wanted`: files that are not fetched yet, without which the reading is not valid."""

    def __init__(self, kept: dict[Want, Kept], cache: dict[tuple[str, str], tuple[Stamp, object]]) -> None:
        super().__init__("", "", cache)
        self._kept = kept
        self.wanted: set[Want] = set()

    def read(self, path: str, first: int, last: int) -> bytes:
        kept = self._find(Want(path, (first, last)))
        return b"" if kept is None or kept.body is None else kept.body.content or b""

    def size(self, path: str) -> int:
        return max((kept.size for want, kept in self._kept.items() if want.path == path), default=0)

    def names(self, folder: str) -> list[str]:
        return []  # an origin lists nothing

    def has(self, path: str) -> bool:
        is_text = path.lower().endswith((".m3u8", ".m3u", ".mpd", ".json"))
        kept = self._find(Want(path, is_look=not is_text))
        return kept is not None and (kept.body is not None or kept.size > 0)

    def _note(self, path: str) -> Stamp:
        kept = self._find(Want(path))
        return None if kept is None or kept.body is None else (kept.version, kept.size, 0)

    def _text(self, path: str, errors: str) -> str:
        kept = self._find(Want(path))
        if kept is None or kept.body is None:
            why = "is not there" if kept is None or kept.failure is None else str(kept.failure)
            raise CatalogError(f"{path} cannot be read: {why}")
        try:
            return (kept.body.content or b"").decode("utf-8-sig", errors)
        except UnicodeDecodeError:
            raise CatalogError(f"{path} is not UTF-8 text") from None

    def _find(self, want: Want) -> Kept | None:
        found = self._kept.get(want)
        if found is None and is_safe(want.path):
            self.wanted.add(want)
        return found
