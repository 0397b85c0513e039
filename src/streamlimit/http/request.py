"""A parsed request, as a value; nothing behind the reader parses it again."""

from urllib.parse import unquote

from msgspec import Struct

Headers = list[tuple[bytes, bytes]]
Peer = tuple[str, int] | None
"""Host and port; None of a Unix socket."""


class Request(Struct, gc=False):
    """One complete request.

    `target`: as in the request line; `path`: its path, percent-decoded. `headers`: in their order, names in lower case;
    `fields`: the first of each name; several of `authorization` are joined, which is no credential. `body`: None where
    it was too large to be kept.
    `client`: the client's address, which a trusted proxy may have stated (`is_revealed`).
    """

    method: str
    target: bytes
    path: str
    query: bytes
    headers: Headers
    fields: dict[bytes, bytes]
    body: bytes | None
    client: Peer
    keep_alive: bool
    version: str = "1.1"
    is_revealed: bool = False

    @property
    def raw_path(self) -> str:
        """The path as it was sent."""
        return self.target.partition(b"?")[0].decode("latin-1")

    def header(self, name: bytes) -> str | None:
        """The first header of that (lower case) name, without the blanks around its value (RFC 9110, 5.5)."""
        value = self.fields.get(name)
        return None if value is None else value.strip(b" \t").decode("latin-1")


def unquoted(path: bytes) -> str:
    """*path*, percent-decoded."""
    return unquote(path.decode("latin-1"))
