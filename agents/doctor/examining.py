"""All checks, in the order in which their causes lie: what the first ones find explains what later ones find."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from agents.doctor import (
    clock,
    configuration,
    files,
    machine,
    models,
    packet_filter,
    processes,
    program,
    server,
    trail,
    units,
)
from agents.doctor.finding import Examined, Finding, wrong
from agents.observing import Place, Runner
from schemas.errors import AgentbusError

_LONGEST_S = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. `needs_fleet`: it says nothing where no fleet can be read."""

    area: str
    name: str
    look: Callable[[Place], Awaitable[Sequence[Finding]]]
    needs_fleet: bool = True
    only: Runner | None = None


CHECKS: Sequence[Check] = (
    Check("program", "nats-server-version", program.server_binary, needs_fleet=False),
    Check("program", "packages", program.packages, needs_fleet=False),
    Check("program", "release", program.release, needs_fleet=False, only=Runner.SYSTEMD),
    Check("machine", "disk", machine.disk, needs_fleet=False),
    Check("machine", "clock", clock.clock, needs_fleet=False),
    Check("machine", "cgroups", machine.cgroups, needs_fleet=False, only=Runner.SYSTEMD),
    Check("machine", "users", machine.users, only=Runner.SYSTEMD),
    Check("configuration", "fleet", configuration.fleet, needs_fleet=False),
    Check("configuration", "agents", configuration.agents),
    Check("configuration", "ports", configuration.ports),
    Check("configuration", "digests", configuration.digests),
    Check("configuration", "listen", configuration.listen),
    Check("files", "provisioned", files.provisioned),
    Check("files", "modes", files.modes),
    Check("models", "access", models.access),
    Check("server", "reachable", server.reachable),
    Check("processes", "running", processes.running),
    Check("processes", "ready", processes.ready),
    Check("trail", "checkpoint", trail.checkpoint),
    Check("trail", "stream", trail.stream),
    Check("trail", "spools", trail.spools),
    Check("units", "installed", units.installed, only=Runner.SYSTEMD),
    Check("units", "sandbox", units.sandbox, only=Runner.SYSTEMD),
    Check("units", "sockets", units.sockets, only=Runner.SYSTEMD),
    Check("units", "attempts", packet_filter.bounded, only=Runner.SYSTEMD),
    Check("units", "exposure", units.exposure, only=Runner.SYSTEMD),
)


async def examine(place: Place) -> AsyncIterator[Examined]:
    """Every check's findings, as they come. A check that cannot look is a finding itself; none ends the others."""
    for check in CHECKS:
        if (check.needs_fleet and not place.is_known) or check.only not in (None, place.runner):
            continue
        for finding in await _looked(check, place):
            yield Examined(check.area, check.name, finding)


async def _looked(check: Check, place: Place) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(_LONGEST_S):
            return await check.look(place)
    except TimeoutError:
        return [wrong(f"could not be told within {_LONGEST_S:g} s", "see what hangs, then run this again")]
    except PermissionError as error:
        return [wrong(f"may not be looked at: {error.filename}", "run this as root, or as who owns the home")]
    except (AgentbusError, OSError) as error:
        return [wrong(str(error), "mend that, then run this again")]
