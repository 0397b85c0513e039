"""Heads that a server must not answer: what RFC 9112 calls wrong or ambiguous, and the parser lets through.

Knows no connection and no session. What the parser itself refuses (bare line feeds, folded lines, two lengths, a length
beside chunks) never comes here.
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

Headers = list[tuple[bytes, bytes]]

MAX_PORT = 65_535
_host = re.compile(
    rb"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*\.?)(?::(?P<port>[0-9]{0,5}))?"
).fullmatch


class Fault(NamedTuple):
    """A code of problems.py, and what is wrong in words."""

    code: str
    detail: str


def fault_of(method: bytes, version: str, headers: Headers, is_upgrade: bool) -> Fault | None:
    """What is wrong with a request of HTTP *version* and these headers (names in lower case); None: nothing.

    *is_upgrade*: the parser takes what follows the head for another protocol's, also where the head announces a body.
    """
    if not version.startswith("1."):
        return unknown_version()
    if method == b"CONNECT":
        return Fault("method-not-allowed", "this is no proxy")
    names = [name for name, _ in headers]
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        return Fault("malformed", "a request has exactly one Host")
    if hosts and not is_host(hosts[0]):
        return Fault("malformed", "Host is a name or an address, and a port where it has one")
    if b"transfer-encoding" in names:
        codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
        if version == "1.0" or b"content-length" in names:
            return Fault("malformed", "the length of the body is ambiguous")
        if codings != [b"chunked"]:
            return Fault("not-implemented", "of transfer codings only chunked is known here")
    if is_upgrade and has_body(headers):
        return Fault("malformed", "an offer of another protocol has no body here")
    return None


def unknown_version() -> Fault:
    """For a request line of any other major version."""
    return Fault("version-not-supported", "this server speaks HTTP/1.1")


def has_body(headers: Headers) -> bool:
    """Does the head announce one?"""
    framing = ((name, value) for name, value in headers if name in (b"content-length", b"transfer-encoding"))
    return any(name == b"transfer-encoding" or value.strip(b" 0") for name, value in framing)


@lru_cache(maxsize=256)
def is_host(value: bytes) -> bool:
    """Is it what a `Host` may be: a name of labels none of which is empty, or an address; a port after it?"""
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
