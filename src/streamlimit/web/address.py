"""Where a client asks from, as a short digest: enough to tell two apart, nothing to keep secret."""

from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address

from streamlimit.web.http import Scope


def client_digest(scope: Scope) -> str:
    """The digest of the client's address; empty where there is none (a Unix socket)."""
    client = scope.get("client")
    return digest_of(client[0]) if client else ""


@lru_cache(maxsize=16_384)
def digest_of(address: str) -> str:
    """Eight hexadecimal digits. Of IPv6 the first 64 bits count: phones change the rest as they like."""
    try:
        parsed = ip_address(address)
    except ValueError:
        parsed = None
    if isinstance(parsed, IPv6Address):
        address = str(parsed.exploded)[:19]
    return blake2b(address.encode(), digest_size=4).hexdigest()
