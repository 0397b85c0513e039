"""Rewriting of entry playlists and manifests, so that the player's next requests go by another path. Pure.

In HLS the URIs of a multivariant playlist are rewritten, and one is made for a stream without; in DASH a `BaseURL` is
inserted behind `<MPD …>`, and a `Location` where the manifest is dynamic. URIs with a scheme or a host, and absolute
paths, stay unchanged.
"""

import re
from xml.sax.saxutils import escape

from streamlimit.delivery.hls.tags import Unreadable, Variables

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_URI_TAGS = ("MEDIA", "I-FRAME-STREAM-INF", "IMAGE-STREAM-INF", "SESSION-KEY", "SESSION-DATA")
_URI = re.compile(r'((?:^|[:,])\s*URI\s*=\s*)(?:"([^"]*)"|([^",\s][^",]*))', re.IGNORECASE)
_TAG = re.compile(r"#EXT-X-([A-Z-]+)\s*:")
# Each stops at what cannot belong to it: one that went on would look through all the rest again, from every element.
_UNREAD = re.compile(r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)", re.DOTALL)
_MPD = re.compile(r"<((?:[\w.-]+:)?)MPD\b(?:\"[^\"<]*\"|'[^'<]*'|[^<>\"'])*(?<!/)>")
_PERIOD = re.compile(r"<(?:[\w.-]+:)?Period\b")
_OPEN, _TEXT = r"(?=[\s>])[^<>]*(?<!/)>", r"(?>[^<]+|<!\[CDATA\[.*?\]\]>)*+"
_DATA = r"<!\[CDATA\[.*?(?:\]\]>|\Z)"  # passed over where it is in no such element: what is in it is none
_BASE = re.compile(rf"{_DATA}|(<(?:[\w.-]+:)?BaseURL{_OPEN})({_TEXT})(</(?:[\w.-]+:)?BaseURL\s*>)", re.DOTALL)
_LOCATION = re.compile(rf"({_DATA})|<(?:[\w.-]+:)?Location{_OPEN}{_TEXT}</(?:[\w.-]+:)?Location\s*>\s*", re.DOTALL)
_DYNAMIC = re.compile(r"""\stype\s*=\s*["']dynamic["']""")


def is_multivariant(text: str) -> bool:
    """Is *text* a multivariant playlist: does it name other playlists, and no segments?"""
    return "#EXT-X-STREAM-INF" in text and "#EXTINF" not in text


def lead_hls(text: str, to: str) -> str:
    """The multivariant playlist *text* with each relative URI behind *to*, a path that ends with a slash."""
    variables = Variables()
    return "\n".join(_led_line(line, to, variables) for line in text.split("\n" if "\n" in text else "\r"))


def made_multivariant(uri: str, bits_per_second: int) -> str:
    """A multivariant playlist with one variant, the media playlist at *uri*; BANDWIDTH is required."""
    return f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH={max(bits_per_second, 1)}\n{uri}\n"


def lead_dash(text: str, to: str, entry: str) -> str | None:
    """The manifest *text* with the base *to* and the location *entry* behind it; None: it cannot be made.

    A BaseURL of the manifest itself stays effective, behind *to*.
    """
    blank = _UNREAD.sub(lambda found: " " * len(found[0]), text)  # what looks like an element in a comment is none
    root = _MPD.search(blank)
    if root is None:
        return None
    period = _PERIOD.search(blank, root.end())
    if period is None:
        return None
    at = period.start()
    head, prefix = text[root.end() : at], root[1]
    is_dynamic = _DYNAMIC.search(root[0]) is not None
    head = _uncommented(head)
    has_base = any(found[1] for found in _BASE.finditer(head))
    head = _BASE.sub(lambda found: found[1] + _led_element(found[2], to) + found[3] if found[1] else found[0], head)
    if is_dynamic:
        head = _LOCATION.sub(lambda found: found[1] or "", head)
    added = "" if has_base else f"<{prefix}BaseURL>{escape(to)}</{prefix}BaseURL>"
    if is_dynamic:
        added += f"<{prefix}Location>{escape(to + entry)}</{prefix}Location>"
    return text[: root.end()] + added + head + text[at:]


def _uncommented(text: str) -> str:
    return _UNREAD.sub(lambda found: "" if found[0].startswith("<!--") else found[0], text)


def _led_element(text: str, to: str) -> str:
    """The rewritten text of an element; CDATA stays CDATA."""
    inner = text.strip()
    is_data = inner.startswith("<![CDATA[") and inner.endswith("]]>")
    uri = inner[9:-3].strip() if is_data else inner
    return text if _is_elsewhere(uri) else escape(to) + (inner if not is_data else f"<![CDATA[{uri}]]>")


def _led_line(line: str, to: str, variables: Variables) -> str:
    bare = line.strip(" \t\r")
    if not bare:
        return line
    if not bare.startswith("#"):
        return line.replace(bare, _led(bare, to, variables), 1)
    tag = _TAG.match(bare)
    if tag is None:
        return line
    if tag[1] == "DEFINE":
        _define(variables, bare[tag.end() :])
    if tag[1] not in _URI_TAGS:
        return line
    return _URI.sub(lambda found: f'{found[1]}"{_led(found[2] or found[3] or "", to, variables)}"', line)


def _define(variables: Variables, value: str) -> None:
    try:
        variables.define(value)
    except Unreadable:
        return  # a line that uses it finds it undefined, and is left as it is


def _led(uri: str, to: str, variables: Variables) -> str:
    try:
        known = variables.uri(uri)
    except Unreadable:
        return uri
    return uri if _is_elsewhere(known) else to + known


def _is_elsewhere(uri: str) -> bool:
    """Does the URI have a scheme or a host, or an absolute path?"""
    return not uri or uri[0] in "/\\" or _SCHEME.match(uri) is not None
