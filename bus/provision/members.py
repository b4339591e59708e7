"""The servers of a fleet, one or the three of a cluster, and where each keeps its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bus.surroundings import Home
from schemas.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Server:
    """One nats-server. `route_port` is 0 where there is no cluster."""

    name: str
    host: str
    port: int
    route_port: int
    config: Path
    store: Path
    log: Path


def servers_of(fleet: Fleet, home: Home) -> tuple[Server, ...]:
    """Every server that carries this fleet."""
    log = home.root / "log"
    name = f"agentbus-{fleet.name}"
    if not fleet.nats.cluster:
        listen = fleet.nats
        return (Server(name, listen.host, listen.port, 0, home.server_config, home.store, log / "nats-server.log"),)
    return tuple(
        Server(
            f"{name}-{number}",
            member.host,
            member.port,
            member.route_port,
            home.server_config.with_stem(f"nats-server-{number}"),
            home.store.with_name(f"jetstream-{number}"),
            log / f"nats-server-{number}.log",
        )
        for number, member in enumerate(fleet.nats.cluster, 1)
    )


def server_url(fleet: Fleet) -> str:
    """Where clients connect: the address of each server, with commas between."""
    listens = fleet.nats.cluster or (fleet.nats,)
    return ",".join(f"nats://{listen.host}:{listen.port}" for listen in listens)
