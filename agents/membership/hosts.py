"""Who runs the fleet of a home on this machine: `agentbus up`, systemd, or nobody; each is told of changes its way."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from agents.installing.places import STATE
from agents.installing.settle import settle, user_lines
from agents.membership.servers import ChildServer, cluster_that_runs
from agents.processes.provisioning import SERVER_UNIT, UnitServer
from approvals.applying.control import RestartFailed, ask_supervisor, process_of
from approvals.applying.systemd_control import unit_of
from bus.errors import NotProvisioned
from bus.provision.members import server_url
from bus.provision.provision import Running, local_servers
from bus.surroundings import Home
from schemas import names
from schemas.errors import PermissionDenied
from schemas.fleet import Fleet

CLUSTER: Final = "the cluster"
"""The name of the host whose servers run while nobody here runs the processes."""
_UNIT_CONFIG: Final = Path("/etc/agentbus/nats-server.conf")
_TMPFILES: Final = "agentbus.conf"
_UNITS: Final = {
    names.APPROVALS: "agentbus-approvals.service",
    names.APPLIER: "agentbus-applier.service",
    names.SEALER: "agentbus-sealer.service",
}
_WAIT_S: Final = 90


class Host(Protocol):
    """Whoever runs the fleet. Methods raise RestartFailed where it could not be done."""

    @property
    def name(self) -> str:
        """What to call it."""

    @property
    def servers(self) -> Sequence[Running]:
        """The fleet's servers, which run."""

    async def stop(self, fleet: Fleet, member: str) -> None:
        """Stop the member's processes in order, and have them not start again."""

    async def restart(self, fleet: Fleet, member: str) -> bool:
        """Restart the member's processes where they run, one after the other; whether there are any."""

    async def halt(self, fleet: Fleet, member: str) -> bool:
        """Stop the member's processes where they run, until `resume` starts them; whether there are any."""

    async def resume(self, fleet: Fleet, member: str) -> None:
        """Start what was halted."""

    async def adopt(self, fleet: Fleet, member: str) -> list[str]:
        """Run what `fleet` has now, as far as that is its to do; returns what is left for a person to do."""


@dataclass(frozen=True, slots=True)
class Supervised:
    """`agentbus up`."""

    home: Home
    servers: Sequence[Running]
    name: str = "agentbus up"

    async def stop(self, fleet: Fleet, member: str) -> None:
        """See `Host.stop`."""
        running = await self._running()
        for process in _processes_of(fleet, member):
            if process in running:
                await self._tell({"command": "stop-process", "process": process})

    async def restart(self, fleet: Fleet, member: str) -> bool:
        """See `Host.restart`."""
        running = await self._running()
        found = [process for process in _processes_of(fleet, member) if process in running]
        for process in found:
            await self._tell({"command": "restart", "process": process})
        return bool(found)

    async def halt(self, fleet: Fleet, member: str) -> bool:
        """See `Host.halt`."""
        running = await self._running()
        await self.stop(fleet, member)
        return any(process in running for process in _processes_of(fleet, member))

    async def resume(self, fleet: Fleet, member: str) -> None:
        """See `Host.resume`."""
        for process in _processes_of(fleet, member):
            await self._tell({"command": "start-process", "process": process})

    async def adopt(self, fleet: Fleet, member: str) -> list[str]:  # noqa: ARG002  the supervisor reads the fleet file
        """See `Host.adopt`."""
        await self._tell({"command": "reprovision"})
        return []

    async def _running(self) -> set[str]:
        rows: list[dict[str, Any]] = (await self._tell({"command": "status"}))["processes"]
        return {str(row["name"]) for row in rows}

    async def _tell(self, command: dict[str, Any]) -> dict[str, Any]:
        answer = await ask_supervisor(self.home.socket, command, timeout_s=_WAIT_S)
        if not answer.get("ok"):
            raise RestartFailed(str(answer.get("error", "the supervisor refused")))
        return answer


@dataclass(frozen=True, slots=True)
class Units:
    """systemd."""

    home: Home
    servers: Sequence[Running]
    name: str = "systemd"

    async def stop(self, fleet: Fleet, member: str) -> None:
        """See `Host.stop`."""
        for unit in _units_of(fleet, member):
            await asyncio.to_thread(_systemctl, "disable", "--now", unit)

    async def restart(self, fleet: Fleet, member: str) -> bool:
        """See `Host.restart`."""
        active = [unit for unit in _units_of(fleet, member) if _is_active(unit)]
        for unit in active:
            await asyncio.to_thread(_systemctl, "restart", unit)
        return bool(active)

    async def halt(self, fleet: Fleet, member: str) -> bool:
        """See `Host.halt`."""
        active = [unit for unit in _units_of(fleet, member) if _is_active(unit)]
        for unit in active:
            await asyncio.to_thread(_systemctl, "stop", unit)
        return bool(active)

    async def resume(self, fleet: Fleet, member: str) -> None:
        """See `Host.resume`."""
        for unit in _units_of(fleet, member):
            await asyncio.to_thread(_systemctl, "start", unit)

    async def adopt(self, fleet: Fleet, member: str) -> list[str]:
        """See `Host.adopt`: users are made and files given to them here; which units start is root's to say."""
        steps = [] if await asyncio.to_thread(settle, self.home.root, fleet) else await self._by_hand(fleet, member)
        if units := _units_of(fleet, member):
            steps.append(f"systemctl enable --now {' '.join(unit.removesuffix('.service') for unit in units)}")
        return steps

    async def _by_hand(self, fleet: Fleet, member: str) -> list[str]:
        """Where the units were installed by hand, what `agentbus install` would do."""
        said = await asyncio.to_thread(_run, "systemd-tmpfiles", "--create", _TMPFILES)
        steps = [f"systemd-tmpfiles --create {_TMPFILES}    # it said: {said}"] if said else []
        is_process = member in fleet.agents or member in fleet.witnesses
        for name, line in user_lines(fleet).items() if is_process else ():
            if name.endswith(f"-{member}.conf") or name == f"agentbus-{member}.conf":
                steps += [f"echo '{line.strip()}' >/etc/sysusers.d/{name}", f"systemd-sysusers {name}"]
        return steps


@dataclass(frozen=True, slots=True)
class Nobody:
    """Nobody who could be told: nothing of the fleet runs, or its servers alone do; `left` is for a person to do."""

    home: Home
    servers: Sequence[Running]
    name: str = "whoever starts it next"
    left: str = (
        "nothing of this fleet runs now; start it as ever, with: agentbus up, or systemctl start agentbus.target"
    )

    async def stop(self, fleet: Fleet, member: str) -> None:
        """See `Host.stop`."""

    async def restart(self, fleet: Fleet, member: str) -> bool:  # noqa: ARG002
        """See `Host.restart`."""
        return False

    async def halt(self, fleet: Fleet, member: str) -> bool:  # noqa: ARG002
        """See `Host.halt`."""
        return False

    async def resume(self, fleet: Fleet, member: str) -> None:
        """See `Host.resume`."""

    async def adopt(self, fleet: Fleet, member: str) -> list[str]:  # noqa: ARG002
        """See `Host.adopt`."""
        await asyncio.to_thread(settle, self.home.root, fleet)
        return [self.left]


@asynccontextmanager
async def hosted(home: Home, fleet: Fleet) -> AsyncIterator[Host]:
    """Whoever runs this fleet, for one change at a time; where nobody does, its servers run until this ends.

    Raises:
        PermissionDenied: this is not the home's owner. NotProvisioned: somebody else listens where the fleet's server
            does, or another change is being made. NoServer: it is to be started, and does not.
    """
    with alone(home):
        async with _hosted(home, fleet) as host:
            yield host


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Let nobody else change this fleet meanwhile.

    Raises:
        PermissionDenied: this is not the home's owner. NotProvisioned: somebody does.
    """
    path = home.state(names.MEMBERSHIP) / "lock"
    try:
        next(home.credentials("").iterdir(), None)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("w")
    except PermissionError as error:
        raise PermissionDenied(f"{error.filename} is not yours to change; run this as its owner, or root") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotProvisioned("another change of this fleet is being made; try again when it is done") from None
        yield


@asynccontextmanager
async def _hosted(home: Home, fleet: Fleet) -> AsyncIterator[Host]:
    host = await running_host(home, fleet)
    if host is not None:
        yield host
    else:
        _require_quiet(fleet)
        servers = local_servers(fleet, home)
        try:
            await asyncio.gather(*(server.start() for server in servers))
            yield Nobody(home, servers)
        finally:
            await asyncio.gather(*(server.stop() for server in servers))


async def running_host(home: Home, fleet: Fleet) -> Host | None:
    """Whoever runs this fleet now.

    Raises:
        NotProvisioned: it is just starting, or a part of a cluster is away.
    """
    if (supervised := await _supervised(home)) is not None:
        return supervised
    if fleet.nats.cluster:
        return _of_cluster(home, cluster_that_runs(fleet, home, os.environ))
    if not _is_of_units(home):
        return None
    return Units(home, (UnitServer(server_url(fleet, home)),))


async def _supervised(home: Home) -> Supervised | None:
    try:
        answer = await ask_supervisor(home.socket, {"command": "status"}, timeout_s=10)
    except RestartFailed:
        return None
    pid = next((int(row["pid"]) for row in answer.get("processes", ()) if row["name"] == "nats-server"), 0)
    if not pid:
        raise NotProvisioned("the fleet is just starting or stopping; try again when agentbus status shows a server")
    return Supervised(home, (ChildServer(str(answer["url"]), pid),))


def _is_of_units(home: Home) -> bool:
    is_ours = _UNIT_CONFIG.exists() and _UNIT_CONFIG.resolve() == home.server_config.resolve()
    return is_ours and _is_active(SERVER_UNIT)


def _of_cluster(home: Home, servers: Sequence[Running]) -> Host | None:
    """Its servers are units of their own; everything else may be units of ours."""
    if not servers:
        return None
    if home.root == Path(STATE) and _is_active(_UNITS[names.APPROVALS]):
        return Units(home, servers)
    return Nobody(home, servers, CLUSTER, "start again what runs of the fleet, wherever that is")


def _require_quiet(fleet: Fleet) -> None:
    for listen in fleet.nats.cluster or (fleet.nats,):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((listen.host, listen.port)) == 0:
                raise NotProvisioned(
                    f"somebody listens on {listen.host}:{listen.port} that neither `agentbus up` in this home nor "
                    f"{SERVER_UNIT} runs; stop it, or name the home whose fleet it is with --home"
                )


def _processes_of(fleet: Fleet, member: str) -> list[str]:
    """What the supervisor calls them."""
    role = fleet.agents.get(member)
    return [process_of(member, slot) for slot in range(role.instances)] if role else [member]


def _units_of(fleet: Fleet, member: str) -> list[str]:
    role = fleet.agents.get(member)
    if role:
        return [unit_of(member, slot) for slot in range(role.instances)]
    if member in fleet.witnesses:
        return [f"agentbus-witness@{member}.service"]
    return [_UNITS[member]] if member in _UNITS else []


def _is_active(unit: str) -> bool:
    return bool(shutil.which("systemctl")) and not _run("systemctl", "is-active", "--quiet", unit)


def _systemctl(verb: str, *arguments: str) -> None:
    if said := _run("systemctl", verb, *arguments):
        raise RestartFailed(f"systemctl {verb} {' '.join(arguments)}: {said}")


def _run(*command: str) -> str:
    """Run it; what it said when it failed, empty when it did not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stderr or done.stdout).strip() or f"it ended with {done.returncode}" if done.returncode else ""
