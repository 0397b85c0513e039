"""The parts of the URI that a viewer sent to an edge: grant, stream, file.

The edge parses the URI by itself, so anything that two parsers could read differently is refused: dot segments, encoded
slashes, backslashes, a fragment.
"""

import re
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from streamlimit.delivery.paths import one_slash, wrong_with_path
from streamlimit.http.request import Request
from streamlimit.web.problems import Problem
from streamlimit.web.spelling import id_in_path

PLAY = "play"
_is_plain = re.compile(r"[!-~\x80-\xff]+").fullmatch
_is_ambiguous = re.compile(r"[#\\]|%2f|%5c|%00", re.IGNORECASE).search
_origin = re.compile(r"[a-z][a-z0-9+.-]*://[^/?]*", re.IGNORECASE).match


class Original(Struct, frozen=True):
    """The viewer's request. `grant`: the one in the path, perhaps with a play; None: there is none.

    `path` is decoded; empty, or with a slash at its end, it names a folder.
    """

    grant: str | None
    stream_id: str
    path: str
    query: str

    @property
    def is_folder(self) -> bool:
        """Does the path name a folder, not a file?"""
        return not self.path or self.path.endswith("/")


def original_of(uri: str, prefix: str = "") -> Original:
    """The parts of *uri*: `/play/<grant>/<stream_id>/<path>`, or `/<stream_id>/<path>` with a grant elsewhere.

    *uri*: raw, its bytes read as Latin-1. *prefix*: a path that the edge puts in front of all. Raises 400.
    """
    path, _, query = uri.partition("?")
    _require_plain(path, query)
    parts = without_origin(path).removeprefix(prefix).split("/")
    grant = None
    if parts[:2] == ["", PLAY]:
        if len(parts) < 5 or not parts[2]:
            raise _malformed("playback URLs are /play/<grant>/<stream_id>/<file>")
        grant, parts = parts[2], ["", *parts[3:]]
    if len(parts) < 3 or parts[0]:
        raise _malformed("it is no path to a file of a stream")
    stream_id, file = _named(parts[1:])
    if grant is None and stream_id == PLAY:  # encoded: a server that decodes it reads a grant behind it
        raise _malformed("it may be read in more than one way")
    return Original(grant, stream_id, file, query)


def without_origin(uri: str) -> str:
    """*uri* without scheme and host: edges name whole URLs where their clients do, as all do by HTTP/2."""
    origin = _origin(uri)
    return uri[origin.end() :] if origin else uri


def file_of_play(request: Request) -> Original:
    """The parts of a request for a file of `/play/`. Raises 400, and 404 for a folder."""
    original = original_of(request.raw_path)
    if original.is_folder:
        raise Problem("not-found", "playback URLs are /play/<grant>/<stream_id>/<file>")
    return original


def file_of(path: str) -> tuple[str, str]:
    """The stream and the file in `<stream_id>/<file>`. Raises 400."""
    path = path.partition("?")[0]
    _require_plain(path, "")
    return _named(path.split("/"))


def _require_plain(path: str, query: str) -> None:
    if not _is_plain(path + query) or _is_ambiguous(path):
        raise _malformed("it may be read in more than one way")


def _named(parts: list[str]) -> tuple[str, str]:
    """The stream and the file of a path that is split at its slashes."""
    return id_in_path("stream_id", _bytes(parts[0])), _file("/".join(parts[1:]))


def _file(raw: str) -> str:
    try:
        path = one_slash(unquote_to_bytes(_bytes(raw)).decode())
    except UnicodeDecodeError as error:
        raise _malformed("it is not UTF-8, percent-encoded") from error
    wrong = wrong_with_path(path.removesuffix("/")) if path else None
    if wrong is not None:
        raise _malformed(f"its file {wrong}")
    return path


def _bytes(raw: str) -> str:
    """*raw* with bytes beyond ASCII percent-encoded."""
    return raw if raw.isascii() else re.sub("[^!-~]", lambda found: f"%{ord(found[0]):02X}", raw)


def _malformed(words: str) -> Problem:
    return Problem("malformed", f"the original URI: {words}", {"field": "X-Original-URI"})
