"""Heads that a server must not answer: what RFC 9112 calls wrong or ambiguous, and the parser lets through.

Knows no connection. What the parser itself refuses (bare line feeds, folded lines, two lengths, a length beside
chunks) never comes here.
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

from streamlimit.http.request import Headers

MAX_PORT = 65_535
_host = re.compile(
    rb"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*\.?)(?::(?P<port>[0-9]{0,5}))?"
).fullmatch


class Fault(NamedTuple):
    """A fault in a request: the error's code, and what is wrong in words."""

    code: str
    detail: str


MALFORMED = Fault("malformed", "this is no HTTP/1.1 request")


def fault_of(
    method: bytes, url: bytes, version: str, headers: Headers, fields: dict[bytes, bytes], offers_upgrade: bool
) -> Fault | None:
    """The fault of a head; None: there is none. *fields*: the first value of each (lower-case) name in *headers*."""
    if version != "1.1" and not version.startswith("1."):
        return unknown_version()
    if offers_upgrade and method == b"CONNECT":
        return Fault("method-not-allowed", "this is no proxy")
    host = fields.get(b"host")
    is_twice = len(fields) < len(headers) and _is_twice(b"host", headers)
    if is_twice or (host is None and version != "1.0"):
        return Fault("malformed", "a request has exactly one Host")
    if host is not None and not is_host(host):
        return Fault("malformed", "Host is a name or an address, and a port where it has one")
    if b"transfer-encoding" in fields:
        return _fault_of_coding(version, headers, fields)
    if (url == b"*" and method != b"OPTIONS") or b"#" in url:
        return MALFORMED
    return None


def _fault_of_coding(version: str, headers: Headers, fields: dict[bytes, bytes]) -> Fault | None:
    if version == "1.0" or b"content-length" in fields:
        return Fault("malformed", "the length of the body is ambiguous")
    is_chunked = fields[b"transfer-encoding"].strip().lower() == b"chunked"
    if not is_chunked or _is_twice(b"transfer-encoding", headers):
        return Fault("not-implemented", "of transfer codings only chunked is known here")
    return None


def join_credentials(headers: Headers, fields: dict[bytes, bytes]) -> None:
    """Joins several `Authorization` lines by commas (RFC 9110, 5.3): the first alone may not be what a proxy checked.

    The joined value is no credential.
    """
    several = [value for name, value in headers if name == b"authorization"]
    if len(several) > 1:
        fields[b"authorization"] = b", ".join(several)


def _is_twice(name: bytes, headers: Headers) -> bool:
    return [each for each, _ in headers].count(name) > 1


def unknown_version() -> Fault:
    """The fault of a request line with another major version of HTTP."""
    return Fault("version-not-supported", "this server speaks HTTP/1.1")


def has_body(fields: dict[bytes, bytes]) -> bool:
    """Does the head announce a body?"""
    return b"transfer-encoding" in fields or bool(fields.get(b"content-length", b"").strip(b" \t0"))


def framing_of(fields: dict[bytes, bytes]) -> bytes:
    """The header line that says how long the body is."""
    if b"transfer-encoding" in fields:
        return b"transfer-encoding: chunked\r\n"
    return b"content-length: " + fields[b"content-length"] + b"\r\n"


@lru_cache(maxsize=256)
def is_host(value: bytes) -> bool:
    """Is *value* a valid `Host`: a name of non-empty labels or an address, with or without a port?"""
    found = _host(value.strip(b" \t"))
    if found is None or int(found["port"] or 0) > MAX_PORT:
        return False
    if found["v6"] is None:
        return True
    try:
        IPv6Address(found["v6"].decode())
    except ValueError:
        return False
    return True
