"""The address of an origin: URLs of its files, and recognition of URLs that lead to them. No I/O."""

import re
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Struct

DEFAULT_PORTS = {"http": 80, "https": 443}


class Address(Struct, frozen=True):
    """An origin: scheme, host (lower case), port, and the path above all streams, with a slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> "Address":
        """The address of an absolute URL. Raises ValueError for any other, or one with more than host and path."""
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("give http://host/path or https://host/path")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("a host and a path, and nothing else: no user, no password, no query")
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(parts.scheme, parts.hostname, port, quote(parts.path, safe="/%~!$&'()*+,;=:@").rstrip("/") + "/")

    @property
    def netloc(self) -> str:
        """Host, and port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def url(self, stream_id: str, path: str, query: str = "") -> str:
        """The URL of a file. *stream_id* and *path*: decoded and checked; all but the slashes of *path* is encoded."""
        target = f"{self.folder(stream_id)}{quote(path, safe='/')}"
        return f"{self.scheme}://{self.netloc}{target}" + (f"?{query}" if query else "")

    def folder(self, stream_id: str) -> str:
        """The path of a stream's folder, with a slash at its end."""
        return f"{self.path}{quote(stream_id, safe='')}/"

    def followed(self, url: str, location: str) -> str | None:
        """The URL to which a redirect from *url* leads; None: not to this origin."""
        try:
            led = urljoin(url, location)
            parts = urlsplit(led)
            port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return None
        here = (self.scheme, self.host, self.port)
        is_here = (parts.scheme, parts.hostname, port) == here and parts.username is None
        return led if is_here and _is_plain(led) else None


_is_plain = re.compile(r"[!-~]+").fullmatch


def localised(content: bytes, address: Address, stream_id: str, path: str) -> bytes:
    """The playlist at *path* with absolute URIs of files of the same stream made relative.

    Else players would ask the origin itself for them, past the limit.
    """
    folder = address.folder(stream_id)
    if folder.encode() not in content:
        return content
    to = "../" * path.count("/") or "./"
    return _own(address, folder).sub(to.encode(), content)


def _own(address: Address, folder: str) -> "re.Pattern[bytes]":
    """A pattern of URIs in a stream's folder, at the beginning of a line, an attribute or an element's text."""
    port = f"(?::{address.port})?" if address.port == DEFAULT_PORTS[address.scheme] else f":{address.port}"
    host = re.escape(address.netloc.removesuffix(f":{address.port}"))
    text = rf"(?m)(?<![^\s\"'>])(?:(?:{address.scheme}:)?//{host}{port})?{re.escape(folder)}"
    return re.compile(text.encode())
