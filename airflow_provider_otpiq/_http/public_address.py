"""Which addresses are public. One that a server's response names may lead into the network that Airflow runs in."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
"""Where a network without IPv4 reaches IPv4's addresses, each in the last 32 bits."""


class PrivateAddressError(Exception):
    """A host is not public. It is no OSError, as urllib3 would take that for a failed connection."""


def require_public_host(host: str) -> None:
    """
    Make sure that a host's name resolves to public addresses only.

    :raises PrivateAddressError: if it does not.
    :raises OSError: if it does not resolve.
    """
    found: Any = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    for *_, address in found:
        require_public_address(host, address[0])


def require_public_address(host: str, address: str) -> None:
    """
    Make sure that the address of a host is public.

    :raises PrivateAddressError: if it is not.
    """
    if not is_public(address):
        resolved = "" if host.strip("[]") == address else f" resolves to {address}, which"
        raise PrivateAddressError(f"{host}{resolved} is no public address")


def is_public(address: str) -> bool:
    """Tell whether an IP address is public, in whichever form it is written."""
    parsed = _embedded(ip_address(address))
    if isinstance(parsed, IPv6Address):
        return parsed.is_global and parsed in _GLOBAL_UNICAST
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Take the IPv4 address out of an IPv6 address that stands for it."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
