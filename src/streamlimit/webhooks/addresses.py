"""The check of webhooks' addresses: public ones, unless the operator allows more. The checked one is called.

A name is resolved here, its addresses are checked, and the connection goes to one of exactly these, which defeats DNS
rebinding.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

from streamlimit.errors import StreamlimitError

PINNED_SECONDS = 60.0
"""How long the addresses of a name are used before it is resolved again."""

RESERVED = [
    IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    )
]
"""Networks of IPv4 for special purposes, by IANA's registry, and multicast: no public host has such an address.

Listed here, since the `ipaddress` module's list differs between releases of Python.
"""

UNICAST = IPv6Network("2000::/3")
"""Global unicast of IPv6: addresses beyond are local, or not allocated."""

RESERVED_IN_UNICAST = [
    IPv6Network(block)
    for block in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20")
]
"""Networks within global unicast that are not public hosts: Teredo, benchmarks, documentation, 6to4 …"""

TRANSLATED = [IPv6Network(block) for block in ("::ffff:0:0/96", "64:ff9b::/96")]
"""Networks of IPv6 that map to IPv4: mapped addresses and NAT64's; the last 32 bits are the IPv4 address."""

Resolve = Callable[[str], Awaitable[list[str]]]


class AddressRefused(StreamlimitError):
    """The endpoint has no address that may be called."""


def is_public(text: str) -> bool:
    """Is *text* the literal address of a public host, in any form?"""
    host, _, scope = text.partition("%")
    address = ip_address(host)
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    if any(address in block for block in TRANSLATED):
        return _is_public_v4(IPv4Address(int(address) & 0xFFFF_FFFF))
    return not scope and address in UNICAST and not any(address in block for block in RESERVED_IN_UNICAST)


def _is_public_v4(address: IPv4Address) -> bool:
    return not any(address in block for block in RESERVED)


def is_literal(host: str) -> bool:
    """Is *host* an address, not a name?"""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_plainly_private(host: str) -> bool:
    """Is *host* private without a look-up: a private address in any spelling, or a name of this machine?"""
    if is_literal(host):
        return not is_public(host)
    try:
        return not _is_public_v4(IPv4Address(socket.inet_aton(host)))  # 127.1, 0x7f000001, 017700000001, 2130706433
    except OSError:
        pass  # a name
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
        """The addresses of *host* that may be called, best first.

        Raises `AddressRefused`, `OSError` for an unknown name.
        """
        until, found = self._pinned.get(host, (0.0, []))
        if not found or self._clock() >= until:
            found = self._checked(host, [host] if is_literal(host) else await self._resolve(host))
            self._pinned[host] = (self._clock() + PINNED_SECONDS, found)
        return found

    def prefer(self, host: str, address: str) -> None:
        """Has *address*, which answered, tried first from now on."""
        found = self._pinned[host][1] if host in self._pinned else []
        if found and found[0] != address and address in found:
            found.remove(address)
            found.insert(0, address)

    def forget(self, host: str) -> None:
        """Has *host* resolved again: none of its addresses answered."""
        self._pinned.pop(host, None)

    def _checked(self, host: str, found: list[str]) -> list[str]:
        good = [address for address in found if self._allow_private or is_public(address)]
        if not good:
            # Neither addresses nor the name are shown: they may describe an internal network.
            raise AddressRefused("the endpoint is at a private address" if found else "the endpoint has no address")
        return list(dict.fromkeys(good))


async def resolve_name(host: str) -> list[str]:
    """The addresses of *host* by the system's resolver, in its order."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]
