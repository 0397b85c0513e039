"""Paths of files in a stream's folder: which may be requested, how URIs resolve, what suffixes mean.

A *path* is relative to the stream's folder, URL-decoded, with `/` between its parts. Knows no playlist.
"""

import os
import posixpath
import re
import stat
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from streamlimit.errors import UnknownSegment

MAX_PATH = 1_024
"""Characters of a path, at most."""

PLAYLIST_SUFFIXES = (".m3u8", ".m3u", ".mpd")

MEDIA_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m3u": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".ts": "video/mp2t",
    ".m2ts": "video/mp2t",
    ".mts": "video/mp2t",
    ".m4s": "video/iso.segment",
    ".cmfv": "video/iso.segment",
    ".cmfa": "audio/iso.segment",
    ".cmft": "application/mp4",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".m4f": "video/iso.segment",
    ".m4a": "audio/mp4",
    ".mp4a": "audio/mp4",
    ".aac": "audio/aac",
    ".mp3": "audio/mpeg",
    ".ac3": "audio/ac3",
    ".ec3": "audio/eac3",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".weba": "audio/webm",
    ".mkv": "video/x-matroska",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".m2v": "video/mpeg",
    ".vob": "video/mpeg",
    ".avi": "video/x-msvideo",
    ".wmv": "video/x-ms-wmv",
    ".3gp": "video/3gpp",
    ".ogv": "video/ogg",
    ".f4v": "video/mp4",
    ".mp4v": "video/mp4",
    ".ismv": "video/mp4",
    ".isma": "audio/mp4",
    ".mka": "audio/x-matroska",
    ".mks": "application/x-matroska",
    ".flv": "video/x-flv",
    ".vtt": "text/vtt",
    ".webvtt": "text/vtt",
    ".ttml": "application/ttml+xml",
    ".srt": "application/x-subrip",
    ".key": "application/octet-stream",
    ".bin": "application/octet-stream",
    ".json": "application/json",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".avif": "image/avif",
    ".webp": "image/webp",
}

AUDIO_SUFFIXES = frozenset(suffix for suffix, name in MEDIA_TYPES.items() if name.startswith("audio/"))
TEXT_SUFFIXES = frozenset({".vtt", ".webvtt", ".ttml", ".srt", ".cmft"})

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./")


def suffix_of(path: str) -> str:
    """The last suffix in lower case, with its dot; empty where there is none."""
    return posixpath.splitext(path)[1].lower()


def media_type(path: str) -> str:
    """The content type for the suffix of *path*."""
    return MEDIA_TYPES.get(suffix_of(path), "application/octet-stream")


def kind_by_suffix(path: str) -> str:
    """The kind of media by the suffix: `audio`, `text`, or else `video`."""
    suffix = suffix_of(path)
    if suffix in TEXT_SUFFIXES:
        return "text"
    return "audio" if suffix in AUDIO_SUFFIXES else "video"


def is_safe(path: str) -> bool:
    """Is *path* a valid path inside a folder: without `..`, dotfiles and control characters, not absolute?"""
    return len(path) <= MAX_PATH and _is_odd(path) is None and _has_good_parts(path) is not None


def wrong_with_path(path: str) -> str | None:
    """Why a decoded path is not safe, in words that continue its name; None where it is."""
    if is_safe(path):
        return None
    if not path:
        return "names no file"
    if len(path) > MAX_PATH:
        return f"has {len(path)} characters; a path has at most {MAX_PATH}"
    odd = _is_odd(path)
    if odd is not None:
        return _oddity(odd[0])
    parts = path.split("/")
    if ".." in parts:
        return "lies outside the stream"
    if not all(parts) or parts[-1] == ".":
        return "names a folder, or is absolute"
    return "is hidden: a name in it begins with a dot"


def _oddity(character: str) -> str:
    if character == "\\":
        return "holds a backslash"
    return "is not UTF-8" if character >= "\ud800" else f"holds a control character (U+{ord(character):04X})"


_is_odd = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]").search
_has_good_parts = re.compile(r"[^./][^/]*(?:/[^./][^/]*)*").fullmatch


def resolve(root: str, folder: str, path: str) -> Path:
    """The file that *path* names in *folder*, links followed; a regular file somewhere inside *root*.

    *root* is a real path (`os.path.realpath`). Links may lead to other places inside *root*, not out
    of it. Raises UnknownSegment for everything else, without saying why.
    """
    wrong = wrong_with_path(path)
    if wrong is not None:
        raise UnknownSegment(f"it {wrong}")
    try:
        real = os.path.realpath(f"{folder}/{path}", strict=True)
        is_file = stat.S_ISREG(os.stat(real).st_mode)
    except (OSError, ValueError):
        raise UnknownSegment(f"no file {path}") from None
    if not is_file or not is_within(root, real):
        raise UnknownSegment(f"no file {path}")
    return Path(real)


def is_within(root: str, real: str) -> bool:
    """Is the real path *real* inside the real path *root*?"""
    return real == root or real.startswith(root.rstrip("/") + "/")


def absence(root: str, folder: str, path: str) -> str:
    """The reason why `resolve`, or opening its result, fails: in words for the operator, not for a viewer."""
    wrong = wrong_with_path(path)
    if wrong is not None:
        return wrong
    real = os.path.realpath(f"{folder}/{path}")
    if not is_within(root, real):
        return "is a link that leads out of the folder of streams"
    if not os.path.exists(real):
        return "is not there"
    return "cannot be read" if os.path.isfile(real) else "is no regular file"


def one_slash(path: str) -> str:
    """*path* normalised as by browsers and file systems: backslashes are slashes, several in a row are one."""
    return _SLASHES.sub("/", path) if "//" in path or "\\" in path else path


_SLASHES = re.compile(r"[/\\]+")


def join(base: str, uri: str) -> str | None:
    """*uri* resolved against the playlist (or BaseURL) *base*, both encoded; None: it leads to another host."""
    path = _own_path(uri)
    if path is None or path.startswith("/"):
        return None
    return posixpath.join(posixpath.dirname(base), one_slash(path)) if path else base


def behind(base: str, uri: str) -> str | None:
    """The path that *uri* (empty: *base* itself) means behind the BaseURL *base*; None: outside the folder."""
    joined = join(base, uri)
    return target("", joined) if joined else None


def _own_path(uri: str) -> str | None:
    """The encoded path in *uri*; None where it has a scheme or a host.

    In a URI, unlike in a decoded name, a backslash is a slash (WHATWG URL).
    """
    if _PLAIN.issuperset(uri) and not uri.startswith("//"):
        return uri  # the common case, five times as fast
    try:
        parts = urlsplit(uri.replace("\\", "/"))
    except ValueError:
        return None
    return None if parts.scheme or parts.netloc else parts.path


def target(base: str, uri: str) -> str | None:
    """The path that *uri* names in the playlist at path *base*; None where it is outside the folder.

    `../` is allowed within the folder. Query and fragment are ignored.
    """
    if _PLAIN.issuperset(uri) and not uri.startswith("/") and "./" not in uri and "//" not in uri:
        folder = posixpath.dirname(base)  # the common case, ten times as fast
        path = f"{folder}/{uri}" if folder else uri
        return path if is_safe(path) else None
    meant = _meant(base, uri)
    return meant if meant is not None and is_safe(meant) else None


def why_not(base: str, uri: str) -> str:
    """Why `target` is None, in words that continue the URI."""
    if _has_control_character(uri):
        return "holds a control character"
    path = _own_path(uri)
    if path is None:
        return "is at another place: it has a scheme or a host"
    if path.startswith("/"):
        return "is absolute: only URIs that are relative to their playlist are served"
    if not path:
        return "names no file"
    meant = _meant(base, uri)
    return "is not UTF-8, percent-encoded" if meant is None else wrong_with_path(meant) or "names no file"


def why_not_from(base: str, uri: str) -> str:
    """As `why_not`, for the path that `join` makes of *base*."""
    joined = join(base, uri)
    return why_not("", uri if joined is None else joined)


_has_control_character = re.compile(r"[\x00-\x1f\x7f-\x9f]").search


def _meant(base: str, uri: str) -> str | None:
    """The decoded path of *uri*, inside the folder or not; None where it is invalid."""
    joined = join("", uri)
    if not joined or _has_control_character(uri):  # urlsplit would leave out some of them
        return None
    try:
        name = unquote_to_bytes(joined).decode()
    except UnicodeError:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), name))
