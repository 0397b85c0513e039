"""Which addresses may be called: public ones, unless the operator allows more. What is checked is what is called.

A name is resolved here, its addresses are checked, and the connection goes to one of exactly these: a name
that points elsewhere a moment later (DNS rebinding) gains nothing.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from streamlimit.errors import StreamlimitError

PINNED_SECONDS = 60.0
"""How long the addresses of a name hold; then it is asked for again."""

NAT64 = IPv6Network("64:ff9b::/96")
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
V4_COMPATIBLE = IPv6Network("::/96")
TEREDO = IPv6Network("2001::/32")

Resolve = Callable[[str], Awaitable[list[str]]]


class AddressRefused(StreamlimitError):
    """The endpoint is at no address that may be called."""


def is_public(text: str) -> bool:
    """Is this the literal address of a machine on the public Internet, whatever form it hides in?"""
    address: IPv4Address | IPv6Address | None = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address in NAT64_LOCAL or address in TEREDO or address.is_site_local:
            return False
        address = _embedded(address) or address
    return address is not None and address.is_global and not address.is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that this one stands for."""
    if address in NAT64 or address in V4_COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def is_literal(host: str) -> bool:
    """Is this an address, not a name?"""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_plainly_private(host: str) -> bool:
    """Can be told without asking anyone: a private address, or a name of this machine."""
    if is_literal(host):
        return not is_public(host)
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


class Addresses:
    """The addresses of endpoints, checked and pinned for a while. *allow_private*: all may be called."""

    def __init__(
        self,
        allow_private: bool,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allow_private, self._resolve, self._clock = allow_private, resolve or resolve_name, clock
        self._pinned: dict[str, tuple[float, list[str]]] = {}

    async def of(self, host: str) -> list[str]:
        """Where *host* may be called, best first. Raises `AddressRefused`, or `OSError` for a name nobody knows."""
        until, found = self._pinned.get(host, (0.0, []))
        if not found or self._clock() >= until:
            found = self._checked(host, [host] if is_literal(host) else await self._resolve(host))
            self._pinned[host] = (self._clock() + PINNED_SECONDS, found)
        return found

    def prefer(self, host: str, address: str) -> None:
        """This one answered: it is tried first."""
        found = self._pinned[host][1] if host in self._pinned else []
        if found and found[0] != address and address in found:
            found.remove(address)
            found.insert(0, address)

    def forget(self, host: str) -> None:
        """None of them answered: the name is asked for again."""
        self._pinned.pop(host, None)

    def _checked(self, host: str, found: list[str]) -> list[str]:
        good = [address for address in found if self._allow_private or is_public(address)]
        if not good:
            # Neither addresses nor the name are told: they may be what a stranger wants to find out.
            raise AddressRefused("the endpoint is at a private address" if found else "the endpoint has no address")
        return list(dict.fromkeys(good))


async def resolve_name(host: str) -> list[str]:
    """The system's answer, in its order."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]
