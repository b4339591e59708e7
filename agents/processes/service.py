"""What every process of the product does around its own work: connect, open its trail, say ready, end in order.

async with service(Settings(name="greeter", is_agent=True), surroundings) as running:
    … start …
    await running.serve()      # ready, then until told to stop
    … drain …
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from agents.notify import Notifier
from agents.processes.alive import alive
from agents.processes.looking_again import Look, nothing
from agents.processes.reporting import Report, reporting
from agents.processes.signs import Signs
from approvals.applying.control import process_of
from bus.audit.emit import Audit, Options
from bus.audit.producer import Producer
from bus.connection import Connection, Profile
from bus.credentials import Credential
from bus.errors import ConnectionRefused
from bus.health.doors import Doors
from bus.surroundings import Surroundings
from schemas import names

_log = structlog.get_logger("process")


_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is on the bus. `has_bus`: it has a user in another account besides its own, by key `bus`."""

    name: str
    is_agent: bool
    has_bus: bool = True
    bus: str = names.BUS_CREDENTIAL

    @property
    def agent(self) -> str:
        """Its name if it is an agent."""
        return self.name if self.is_agent else ""

    def process(self, slot: str) -> str:
        """What the process is called among those of the fleet."""
        return process_of(self.name, int(slot)) if self.is_agent else self.name


@dataclass(slots=True)
class Running:
    """A process with its connections and its trail. `own` is the account that is this process's alone."""

    own: Connection
    bus: Connection
    audit: Audit
    signs: Signs
    notifier: Notifier
    slot: str
    report: Report

    async def serve(self, status: str, look: Look = nothing) -> None:
        """Say that the process is ready, then wait until it should end. `look` is what SIGHUP asks for.

        Raises:
            ConnectionRefused: it has to end because it cannot work any more.
        """
        self.audit.emit("process.started", action="start")
        async with alive(self.notifier, self.report.lateness, status, self.signs.asked_again, look):
            self.report.health.stage = "serving"
            _log.info("process.ready", status=status)
            await self.signs.wait()
        self.report.health.stage = "draining"
        self.notifier.stopping("draining")
        if not self.signs.failure:
            self.audit.emit("process.draining", action="stop")


@asynccontextmanager
async def service(identity: Identity, place: Surroundings, doors: Doors | None = None) -> AsyncIterator[Running]:
    """Connect as `identity` and open its audit trail; on leaving, flush the trail and close.

    It tells at `doors` how it is, without them at those that the environment names, from here to the end.

    Raises:
        CredentialMissing: a key is not there. AuditUnavailable: the trail cannot be opened.
        ConnectionRefused: the process ended because the server refused it for good.
        NoListener: where it should tell how it is, it cannot.
    """
    signs = Signs()
    signs.listen()
    async with (
        reporting(identity.process(place.slot), doors or Doors.from_environment(), identity.agent) as report,
        _running(identity, place, signs, report) as running,
    ):
        yield running


@asynccontextmanager
async def _running(identity: Identity, place: Surroundings, signs: Signs, report: Report) -> AsyncIterator[Running]:
    notifier = Notifier.from_environment()
    notifier.status("waiting for the NATS server")
    patience = asyncio.create_task(ask_for_patience(notifier))
    own = await opened(profile_of(identity, place, signs, names.OWN_CREDENTIAL), signs)
    bus = await opened(profile_of(identity, place, signs, identity.bus), signs) if identity.has_bus else own
    patience.cancel()
    audit = await Audit.open(
        own,
        Producer(identity.name, place.slot, identity.is_agent),
        Credential.find(place.credentials, names.AUDIT_CREDENTIAL),
        place.state / "audit",
        Options(on_stopped=signs.on_stopped, on_emitted=report.counts.count),
    )
    signs.audit = audit
    report.on_failure = signs.fail
    report.writes(audit)
    for name, connection in {"own": own, **({"bus": bus} if identity.has_bus else {})}.items():
        report.connected(name, connection)
    marker = _Marker(place.state / "running")
    try:
        for connection in dict.fromkeys((own, bus)):
            audit.emit("bus.connected", action="connection", resource=connection.profile.name)
        if marker.was_left:
            audit.emit("process.resumed", action="start", outcome="unknown", reason="the last run did not end in order")
        marker.set()
        yield Running(own, bus, audit, signs, notifier, place.slot, report)
        audit.emit(
            "process.stopped", action="stop", outcome="failure" if signs.failure else "success", reason=signs.failure
        )
    finally:
        signs.is_closing = True
        await audit.close()
        for connection in {own, bus}:
            await connection.close()
    marker.clear()
    if signs.failure:
        raise ConnectionRefused(signs.failure)


async def opened(profile: Profile, signs: Signs) -> Connection:
    """Connect, however long the server is away; a process that is told to stop meanwhile ends in order, with 0."""
    opening = asyncio.create_task(Connection.open(profile))
    stopping = asyncio.create_task(signs.wait())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if opening.done():
        return opening.result()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    raise SystemExit(0)


async def ask_for_patience(notifier: Notifier) -> None:
    """A server that is away at start is no failure of this process: keep the service manager from ending it."""
    while True:
        await asyncio.sleep(_PATIENCE_S / 3)
        notifier.extend_timeout(_PATIENCE_S)


def profile_of(identity: Identity, place: Surroundings, signs: Signs, credential: str) -> Profile:
    """How a process connects with its key `credential`; `signs` learns what happens to the connection."""
    return Profile(
        url=place.nats_url,
        credential=Credential.find(place.credentials, credential),
        name=f"{identity.name}.{credential.removesuffix('.nk')}",
        inbox_prefix=names.inbox_prefix(identity.name),
        on_violation=signs.on_violation,
        on_disconnected=signs.on_disconnected,
        on_reconnected=signs.on_reconnected,
        on_closed=signs.on_closed,
    )


class _Marker:
    """A file that exists while the process runs: found at the start, it says that the last run was cut short."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.was_left = path.exists()

    def set(self) -> None:
        self._path.touch(mode=0o600)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
