"""Addresses of clients, to share the server between them."""

from __future__ import annotations

import ipaddress


def address_key(host: str | None) -> str:
    """Return what clients that share one allowance have in common.

    It is the address itself, or the first 64 bits of an IPv6 address: a subscriber has all
    addresses that begin with them.

    Args:
        host: the address of a connection; None if the server does not know it.
    """
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:  # a name, as test clients have, or the path of a socket
        return host or ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
