"""Free files, which take no seat: those of known kinds. Every other file takes one.

A name alone is not trusted: a file that is free by its name, or as the init or key of a playlist, takes a seat
nevertheless if it is larger than such files are, or contains media. Knows no request.
"""

import struct

from streamlimit.delivery.body import Body
from streamlimit.delivery.paths import PLAYLIST_SUFFIXES, TEXT_SUFFIXES, suffix_of

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".svg", ".bmp", ".ico")
TEXTS = (
    ".txt",
    ".json",
    ".xml",
    ".html",
    ".css",
    ".js",
    ".dfxp",
    ".ass",
    ".ssa",
    ".sbv",
    ".scc",
    ".smi",
    ".lrc",
    ".key",
)
FREE_SUFFIXES = frozenset({*IMAGES, *TEXTS, *TEXT_SUFFIXES})

MAX_FREE = 8 * 1024 * 1024
"""Most bytes of a free text, image, or unlisted playlist; posters and sheets of thumbnails are smaller."""
MAX_INIT = 1024 * 1024
MAX_KEY = 64 * 1024

_BEGINNINGS = (
    b"\x1aE\xdf\xa3", b"OggS\0", b"FLV\x01", b"fLaC", b"ID3\2", b"ID3\3", b"ID3\4", b"\0\0\0\1", b"0&\xb2u",
    b"\x0bw", b"w\x0b", b"\x7f\xfe\x80\1", b"\xfe\x7f\1\x80", b"\x06\x0e+4", b"DKIF\0", b"YUV4MPEG2 ", b"#!AMR",
    b"caff\0", b".RMF\0", b".snd\0", b"RF64", *(bytes((0xFF, second)) for second in (0xE2, 0xE3, *range(0xF0, 0xFE))),
    *(bytes((0, 0, 1, code)) for code in range(1, 256)),
)  # fmt: skip
"""First bytes of media files: WebM, Ogg, FLV, FLAC, tags before MP3 and AAC, MPEG programs and video, H.264, ASF, AC-3,
DTS, MXF, IVF, raw video, AMR, CAF, RealMedia, AU, long WAV; AAC and MP3 frames. No text begins with these."""
_BOXES = (
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"free", b"skip", b"wide", b"emsg", b"prft", b"uuid", b"pdin",
    b"ssix", b"meta",
)  # fmt: skip
_LARGEST_BOX = 0x08FFFFFF
"""The largest size of a first MP4 box in so small a file; the first four bytes of a text are a larger number."""
_PICTURES = (b"avif", b"heic", b"heix", b"mif1")
_PACKETS = ((0, 188), (4, 192))
"""Packets of a transport stream: offset of the first one, and length."""
_HEAD = 1024


def by_name(path: str) -> str:
    """The kind of a file that no playlist names: `playlist`, `other` (text, images), or `media`, which takes a seat."""
    suffix = suffix_of(path)
    if suffix in PLAYLIST_SUFFIXES:
        return "playlist"
    return "other" if suffix in FREE_SUFFIXES else "media"


def holds_media(what: str, is_listed: bool, file: Body) -> bool:
    """Does *file* take a seat, though it is *what* by its name or (*is_listed*) in a playlist?"""
    about = ("holds media", what, is_listed)
    found: bool | None = file.notes.get(about)
    return file.keep(about, _looked_at(what, is_listed, file)) if found is None else found


def _looked_at(what: str, is_listed: bool, file: Body) -> bool:
    if what == "init":
        return file.size > MAX_INIT or _has_samples(file.head(file.size))
    if what == "key":
        return file.size > MAX_KEY
    if is_listed:  # parsed playlists, and subtitles, which may be MP4
        return what != "playlist" and file.size > MAX_FREE
    return file.size > MAX_FREE or _begins_like_media(file.head(_HEAD))


def _begins_like_media(head: bytes) -> bool:
    if head[4:8] in _BOXES and int.from_bytes(head[:4]) <= _LARGEST_BOX:
        return head[8:12] not in _PICTURES
    if head[:4] in (b"RIFF", b"FORM"):
        return head[8:12] in (b"AVI ", b"WAVE", b"AIFF", b"AIFC")
    return head.startswith(_BEGINNINGS) or any(
        all(head[at : at + 1] == b"G" for at in range(first, first + 3 * size, size)) for first, size in _PACKETS
    )


def _has_samples(content: bytes) -> bool:
    """Does an init contain media: is it an MP4 with samples, or a whole file of another kind?"""
    if content[4:8] not in _BOXES:
        return len(content) > MAX_KEY
    at = 0
    while at + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        if name in (b"moof", b"mdat") and size != 8:
            return True
        if size < 8:
            break
        at += size
    return False
