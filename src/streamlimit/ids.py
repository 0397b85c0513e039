"""Ids of users, sessions and streams: nearly any text, compared byte for byte, never normalised."""

import re

MAX_CHARACTERS, MAX_BYTES = 128, 256

PATTERN = (
    r"(?!\.{1,2}$)[^\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff/\\]{1,%d}" % MAX_CHARACTERS  # noqa: UP031
)
"""The pattern of ids, without the limit of bytes, valid in Python and JSON Schema."""

SLASHES_ENCODED = str.maketrans({"%": "%25", "/": "%2F", "\\": "%5C"})
"""An injective encoding of slashes, for others' names that become ids: no two names become the same id."""

_has_form = re.compile(PATTERN.replace("$", r"\Z")).fullmatch
_bad_character = re.compile(r"[\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff/\\]").search


def is_id(text: str) -> bool:
    """Is *text* an id?"""
    return _has_form(text) is not None and (text.isascii() or len(text.encode()) <= MAX_BYTES)


def wrong_with_id(text: str) -> str | None:
    """Why *text* is no id, in words that continue the field's name; None where it is one."""
    if is_id(text):
        return None
    if not text:
        return "is empty; an id has at least one character"
    bad = _bad_character(text)
    if bad is not None:
        return f"holds {_called(bad[0])}, which is in no id"
    if text in (".", ".."):
        return f"is {text!r}, which means a folder in every path"
    if len(text) > MAX_CHARACTERS:
        return f"has {len(text)} characters; an id has at most {MAX_CHARACTERS}"
    return f"takes {len(text.encode())} bytes of UTF-8; an id takes at most {MAX_BYTES}"


def _called(character: str) -> str:
    code = f"U+{ord(character):04X}"
    if character in "/\\":
        return "a slash (/)" if character == "/" else "a backslash"
    if "\ud800" <= character <= "\udfff":
        return f"half a surrogate pair ({code})"
    return f"a line or paragraph separator ({code})" if character in "\u2028\u2029" else f"a control character ({code})"
