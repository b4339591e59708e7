"""Restarting one agent's processes, and putting permissions in force, through systemd.

polkit lets the applier's user restart and stop the agents' units and start the one that provisions, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import re

import structlog

from approvals.applying.control import RestartFailed
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.surroundings import Home

_log = structlog.get_logger("applier")
PROVISION_UNIT = "agentbus-provision.service"
_UNIT = re.compile(r"agent(-(?P<slot>[1-9]))?@(?P<agent>[a-z][a-z0-9-]*)\.service\s")
TIMEOUT_S = 60
"""Longer than any of the units may take to start."""


class SystemdControl:
    """An agent's instances are units: `agent@NAME` is the first, `agent-1@NAME` the second, and so on."""

    def __init__(self, home: Home) -> None:
        self._home = home

    async def restart(self, agent: str, slot: int, ready_within_s: float) -> None:  # noqa: ARG002  the unit says it
        """See `Control.restart`; how long it may take the unit says."""
        unit = unit_of(agent, slot)
        # An agent that failed too often counts as failed; without this systemd would refuse to start it.
        for verb in ("reset-failed", "restart"):
            code, said = await _systemctl(verb, unit)
        if code:
            raise RestartFailed(said or f"systemctl restart {unit} ended with {code}")

    async def stop(self, agent: str, slot: int) -> None:
        """See `Control.stop`."""
        unit = unit_of(agent, slot)
        code, said = await _systemctl("stop", unit)
        if code:
            raise RestartFailed(said or f"systemctl stop {unit} ended with {code}")

    async def pid(self, agent: str, slot: int) -> int:
        """See `Control.pid`."""
        said = await _property(unit_of(agent, slot), "MainPID")
        return int(said) if said.isdecimal() else 0

    async def reprovision(self) -> None:
        """See `Control.reprovision`. What starts is started before permissions change, so that nothing is left half done.

        Which tree is wanted is said in a file; the unit that is started looks itself whether people approved it.
        """
        fleet = (await asyncio.to_thread(rules_in_force, Git(self._home.repository))).fleet
        before = await _running()
        wanted = {(a, slot) for a, _ in before if a in fleet.agents for slot in range(fleet.agents[a].instances)}
        for agent, slot in sorted(wanted - before):
            await self.restart(agent, slot, 0)
        await asyncio.to_thread(self._say_what_is_wanted)
        code, said = await _systemctl("start", PROVISION_UNIT)  # returns at its end
        if code:  # then it says why, which systemd keeps as long as it counts as failed
            reason = await _property(PROVISION_UNIT, "StatusText")
            raise RestartFailed(reason.removeprefix("failed: ") or said or f"{PROVISION_UNIT} ended with {code}")
        for agent, slot in sorted(before - wanted):
            await self._stop_surplus(agent, slot)

    async def _stop_surplus(self, agent: str, slot: int) -> None:
        try:
            await self.stop(agent, slot)
        except RestartFailed as error:  # one instance too many does no harm; what was approved is in force
            _log.warning("applier.surplus_runs", agent=agent, slot=slot, reason=str(error))

    def _say_what_is_wanted(self) -> None:
        tree = Git(self._home.repository).tree_of_fleet()
        path = self._home.wanted_fleet
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(tree + "\n")
        fresh.rename(path)


def unit_of(agent: str, slot: int) -> str:
    """The unit of an instance."""
    return f"agent{f'-{slot}' if slot else ''}@{agent}.service"


async def _running() -> set[tuple[str, int]]:
    """The instances that run here, as (agent, slot)."""
    listing = ("--plain", "--no-legend", "--state=active,activating,reloading", "agent@*.service", "agent-*@*.service")
    code, said = await _systemctl("list-units", *listing)
    if code:
        raise RestartFailed(said or f"systemctl list-units ended with {code}")
    found = (_UNIT.match(line) for line in said.splitlines())
    return {(match["agent"], int(match["slot"] or 0)) for match in found if match}


async def _property(unit: str, name: str) -> str:
    _, said = await _systemctl("show", f"--property={name}", "--value", unit)
    return said


async def _systemctl(verb: str, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "systemctl", "--no-ask-password", verb, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise RestartFailed(f"systemctl {verb} {arguments[-1]} did not end within {TIMEOUT_S} s") from None
    return process.returncode or 0, said.decode("utf-8", "replace").strip()
