"""Checks that an address is public. An address in a server's response may point into Airflow's own network."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses, in the last 32 bits, for networks without IPv4."""


class PrivateAddressError(Exception):
    """A host is not public. Not an OSError: urllib3 would treat that as a failed connection."""


def require_public_host(host: str) -> None:
    """Raise a PrivateAddressError if one of a host name's addresses is not public; an OSError if it has none."""
    found: Any = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    for *_, address in found:
        require_public_address(host, address[0])


def require_public_address(host: str, address: str) -> None:
    """Raise a PrivateAddressError if the address of a host is not public."""
    if not is_public(address):
        resolved = "" if host.strip("[]") == address else f" resolves to {address}, which"
        raise PrivateAddressError(f"{host}{resolved} is not a public address")


def is_public(address: str) -> bool:
    """Return whether an IP address is public, in any notation."""
    parsed = _embedded(ip_address(address))
    if isinstance(parsed, IPv6Address):
        return parsed.is_global and parsed in _GLOBAL_UNICAST
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address in an IPv6 address, if it has one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
