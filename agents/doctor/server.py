"""The running server: does it answer, is it new enough, does it let this fleet's keys in and nobody without one."""

from __future__ import annotations

from collections.abc import Sequence

from agents.doctor.finding import Finding, fine, wrong
from agents.observing import Place
from agents.people import operators_connection
from bus.errors import ConnectionRefused
from bus.provision.members import server_url
from bus.server import MINIMUM


async def reachable(place: Place) -> Sequence[Finding]:
    """An operator's key is let in, by a server that is new enough."""
    try:
        async with operators_connection(place.home.root, "") as (connection, operator):
            greeting = connection.greeting
    except ConnectionRefused as error:
        return [wrong(str(error), place.start("nats-server", "nats-server"))]
    found = [fine(f"{operator} is let in at {server_url(place.fleet, place.home)}")]
    version, least = str(greeting.get("version", "")), ".".join(map(str, MINIMUM))
    if _numbers(version) < MINIMUM:
        found.append(wrong(f"the server is {version}, older than {least}", "upgrade it, then restart it"))
    else:
        found.append(fine(f"the server that runs is {version}"))
    if not greeting.get("auth_required"):
        found.append(wrong("the server lets in who has no key", f"{place.provision()}, then restart it"))
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-", maxsplit=1)[0].split(".") if part.isdigit())
