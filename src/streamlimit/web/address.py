"""Digests of clients' addresses: long enough to distinguish clients, too short to be traced back."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from streamlimit.http.request import Peer, Request
from streamlimit.web.problems import Problem

UNIX = "unix"
"""The entry of trusted proxies for every client on a Unix socket."""


def digest_at(client: Peer) -> str:
    """The digest of *client*'s address; empty where there is none."""
    return digest_of(client[0]) if client else ""


def place_at(client: Peer) -> str:
    """The digest of *client*'s network; empty where it has no address."""
    return place_of(client[0]) if client else ""


@lru_cache(maxsize=16_384)
def digest_of(address: str) -> str:
    """The digest of an address: eight hexadecimal digits.

    Of IPv6 the first 64 bits count, for phones change the rest.
    """
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        address = str(parsed.exploded)[:19]
    return blake2b(address.encode(), digest_size=4).hexdigest()


@lru_cache(maxsize=16_384)
def place_of(address: str) -> str:
    """The digest of an address's network: eight hexadecimal digits."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv4Address):
        address = str(parsed).rpartition(".")[0]
    return digest_of(address)


class Proxies:
    """The trusted proxies, whose `X-Forwarded-For` is believed; a client's own is not."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._networks = [ip_network(proxy) for proxy in trusted if proxy != UNIX]
        self._unix = UNIX in trusted
        self.are_any, self._trusted = bool(trusted), tuple(trusted)
        self._find = lru_cache(maxsize=16_384)(self._trusts)

    def __reduce__(self) -> tuple[type["Proxies"], tuple[Sequence[str]]]:
        return Proxies, (self._trusted,)

    def trusts(self, address: str) -> bool:
        """Is the address one of the trusted proxies?"""
        return self._find(address)

    def reveal(self, request: Request) -> None:
        """Sets the client's own address in *request*: the last one before the server that is no trusted proxy's."""
        client = request.client
        if not (self.trusts(client[0]) if client else self._unix):
            return
        hops = [value.decode("latin-1") for name, value in request.headers if name == b"x-forwarded-for"]
        for hop in reversed(",".join(hops).split(",")):
            address = bare(hop.strip())
            if address is None:
                return  # earlier addresses were not stated by a trusted proxy
            request.client, request.is_revealed = (address, 0), True
            if not self.trusts(address):
                return

    def spoke(self, request: Request) -> bool:
        """Does the request come from a trusted proxy itself? Works before and after `reveal`."""
        client = request.client
        return request.is_revealed or (self.trusts(client[0]) if client else self._unix)

    def require(self, request: Request) -> None:
        """Raises 403 unless the request comes from a trusted proxy itself: only edges may speak for viewers."""
        if not self.spoke(request):
            raise Problem("forbidden", "only an edge that is one of trusted_proxies may ask this")

    def ask_themselves(self, request: Request) -> bool:
        """Does the request come from a trusted proxy on its own account, not forwarded for a viewer?"""
        return self.spoke(request) and not request.is_revealed

    def _trusts(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(
            parsed in network for network in self._networks if isinstance(network, IPv6Network) is (parsed.version == 6)
        )


def bare(text: str) -> str | None:
    """The address in `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`; None where there is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    parsed = _parsed(text)
    return None if parsed is None else str(parsed)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv4Address):
        return parsed
    # An IPv4 client, as a socket for both kinds shows it; else without its zone (`%eth0`), which is no part of it.
    return parsed.ipv4_mapped or IPv6Address(int(parsed))
