"""Keeps http(s):// URIs in tables, lists and redirects from private addresses, unless these are allowed.

The address of each connection is checked at the moment when it is made, after redirects and name
resolution. So a name that resolves to another address the second time gains nothing.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from errno import EACCES
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import aiohttp

REFUSED = "is an address of this machine or of a private network; --allow-private-hosts permits it"
"""Follows the address in the error of a refused connection."""
_PORTS = {"http": 80, "https": 443}
_PRIVATE_NAMES = ("localhost", "local", "internal", "lan", "intranet")
"""Last labels of names of private hosts."""
_NAT64 = IPv6Network("64:ff9b::/96")

WELL_FORMED = re.compile(
    r"https?://[^/?#\s]+(?:[A-Za-z0-9\-._~:/?#@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*", re.ASCII | re.IGNORECASE
)
"""An address that needs no escaping (RFC 3986): none of its characters, of which `%` begins an escape."""


@dataclass(frozen=True)
class PrivateHosts:
    """Which hosts of loopback, private, link-local and other special addresses are allowed."""

    every: bool = False
    """Whether all are."""
    named: frozenset[tuple[str, int]] = frozenset()
    """(host, port) of those that are, if not all."""

    def with_host_of(self, uri: str) -> PrivateHosts:
        """With the host of a URI that the user typed, if one can see in it that it is private.

        That is an address, `localhost`, a name without a dot or one that ends in `.local` or the like. Of
        any other name the user could not see that it leads to a private address.
        """
        place = _host_of(uri)
        if place is None or not _is_private_name(place[0]):
            return self
        return replace(self, named=self.named | {place})


NO_PRIVATE_HOSTS = PrivateHosts()


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, whatever form it is written in."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            found = inner
    return found.is_global and not found.is_multicast and not found.is_reserved


async def client(allowed: PrivateHosts, **options: Any) -> aiohttp.ClientSession:
    """A session that connects to public addresses, and to private hosts that are allowed."""
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult

    permitted = set(allowed.named)  # and the addresses that their names resolve to

    class Resolver(AbstractResolver):
        def __init__(self) -> None:
            self._inner = aiohttp.ThreadedResolver()

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await self._inner.resolve(host, port, family)
            if (host.lower().rstrip("."), port) in allowed.named:
                permitted.update((each["host"], port) for each in found)
            return found

        async def close(self) -> None: ...

    def connect(info: Any) -> socket.socket:
        family, kind, protocol, _, place = info
        if not (allowed.every or is_public(place[0]) or (place[0], place[1]) in permitted):
            raise OSError(EACCES, f"{place[0]} {REFUSED}")
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(resolver=Resolver(), socket_factory=connect)
    return aiohttp.ClientSession(connector=connector, **options)


async def well_formed(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """A middleware that escapes the address of a request, of a redirect too, where that is needed."""
    from yarl import URL

    address = str(request.url)
    if not WELL_FORMED.fullmatch(address):
        request.url = URL(address)
    return await send(request)


def _host_of(uri: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return None
    return None if not host or port is None else (host.rstrip("."), port)


def _is_private_name(host: str) -> bool:
    try:
        return not is_public(str(ip_address(host)))
    except ValueError:
        return "." not in host or host.rpartition(".")[2] in _PRIVATE_NAMES
