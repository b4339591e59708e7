"""Where the fleet's server is not on 127.0.0.1:4222: units know where it is, and may speak to it; it may be spoken to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from bus.provision.members import server_url
from bus.surroundings import DEFAULT_URL, Home
from schemas.fleet import Fleet

from .places import UNITS

NAME = "10-agentbus-fleet.conf"
_SERVER = "nats-server.service"
_CONFINED = "\nIPAddressAllow=localhost\n"
_PRIVATE = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]


def network_files(fleet: Fleet, home: Home, units: Path) -> dict[str, bytes]:
    """A drop-in for each unit of the folder systemd/ that may speak to this machine alone; none where that is enough.

    A server that listens on a private address may be spoken to from its private range, one that listens on another
    address from everywhere; TLS and keys decide then. Not guaranteed: that a server which is named, not numbered, can
    be reached: systemd knows addresses only.
    """
    url, hosts = server_url(fleet, home), [listen.host for listen in fleet.nats.cluster or (fleet.nats,)]
    if url == DEFAULT_URL:
        return {}
    public = [f"BindReadOnlyPaths=-{home.ca.parent}"] if fleet.nats.has_tls else []
    ours = [f"Environment={_escaped(f'AGENTBUS_NATS_URL={url}')}", *public, *_allowed(map(server_at, hosts))]
    servers = list(_allowed(map(_peers_of, hosts)))
    confined = [unit.name for unit in sorted(units.glob("*.service")) if _CONFINED in unit.read_text()]
    lines = {name: servers if name == _SERVER else ours for name in confined}
    return {f"{UNITS}/{name}.d/{NAME}": _drop_in(own) for name, own in lines.items() if own}


def _drop_in(lines: list[str]) -> bytes:
    header = "# Written by agentbus provision, from the fleet file. What is to be otherwise, say by systemctl edit."
    return "\n".join([header, "[Service]", *lines, ""]).encode()


def _allowed(values: Iterator[str]) -> Iterator[str]:
    yield from (f"IPAddressAllow={value}" for value in dict.fromkeys(values) if value)


def server_at(host: str) -> str:
    """Where a process of this machine finds the server: what is not loopback, and can be named to systemd."""
    address = _address(host)
    return "" if address is None or address.is_loopback or address.is_unspecified else str(address)


def _peers_of(host: str) -> str:
    """Who may speak to a server that listens there."""
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return ""
    return next((str(each) for each in _PRIVATE if address in each), "any") if address is not None else "any"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _escaped(value: str) -> str:
    """As a unit's line wants it. Source: systemd.unit(5), "Specifiers"."""
    return value.replace("%", "%%")
