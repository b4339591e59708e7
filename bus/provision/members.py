"""The servers of a fleet, one or the three of a cluster, and where each keeps its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bus.address import address_of
from bus.server import LocalServer
from bus.surroundings import Home
from schemas.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a server that speaks TLS."""

    certificate: Path
    key: Path
    ca: Path


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
    tls: Certificate | None = None

    def local(self, environment: Path | None, config: Path | None = None) -> LocalServer:
        """It as a child process, not started, with its own configuration or another. `environment`: as there."""
        return LocalServer(
            config or self.config, self.log, self.host, self.port, store=self.store, environment=environment,
            ca=self.tls.ca if self.tls else None,
        )  # fmt: skip


def servers_of(fleet: Fleet, home: Home) -> tuple[Server, ...]:
    """Every server that carries this fleet."""
    log = home.root / "log"
    name = f"agentbus-{fleet.name}"
    tls = _certificate(fleet, home)
    if not fleet.nats.cluster:
        listen, file = fleet.nats, log / "nats-server.log"
        return (Server(name, listen.host, listen.port, 0, home.server_config, home.store, file, tls),)
    return tuple(
        Server(
            f"{name}-{number}",
            member.host,
            member.port,
            member.route_port,
            home.server_config.with_stem(f"nats-server-{number}"),
            home.store.with_name(f"jetstream-{number}"),
            log / f"nats-server-{number}.log",
            tls,
        )
        for number, member in enumerate(fleet.nats.cluster, 1)
    )


def server_url(fleet: Fleet, home: Home) -> str:
    """Where clients connect: the address of each server, with commas between."""
    listens = fleet.nats.cluster or (fleet.nats,)
    ca = home.ca if fleet.nats.has_tls else None
    return ",".join(address_of(listen.host, listen.port, ca) for listen in listens)


def _certificate(fleet: Fleet, home: Home) -> Certificate | None:
    given = fleet.nats.given_files
    if given:
        return Certificate(Path(given.cert_file), Path(given.key_file), home.ca)
    return Certificate(home.server_certificate, home.server_key, home.ca) if fleet.nats.has_tls else None
