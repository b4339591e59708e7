"""Which addresses a model's requests may reach: those of the public internet, and those that the file allows by name.

No I/O. What is refused: private, loopback, link-local (cloud metadata among them), shared, multicast, reserved and
unspecified addresses, the same in every form in which IPv6 can carry an IPv4 address, and addresses of clouds' own
services that look public.

Source: IANA IPv4 and IPv6 Special-Purpose Address Registries; RFC 4291, 6052 (NAT64), 3056 (6to4), 4380 (Teredo).
"""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_REFUSED_4: Final = tuple(
    ipaddress.IPv4Network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # a cloud's own service at a public address
    )
)  # fmt: skip
_PUBLIC_6: Final = ipaddress.IPv6Network("2000::/3")
"""All that is given out; what is outside is no server of the internet."""
_REFUSED_6: Final = tuple(
    ipaddress.IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether a server of the internet may have it."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in net for net in _REFUSED_4)
    if address.scope_id is not None:
        return False
    carried = _carried(address)
    if carried is not None:
        return is_public(carried)
    return address in _PUBLIC_6 and not any(address in net for net in _REFUSED_6)


def may_reach(address: Address, port: int, allowed: tuple[str, ...]) -> bool:
    """Whether a connection may be made: a public address, or one that `allowed` has with this very port."""
    return is_public(address) or shown(address, port) in allowed


def shown(address: Address, port: int) -> str:
    """`127.0.0.1:80`, `[::1]:80`."""
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a packet to this one ends up at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[12:])
    return None
