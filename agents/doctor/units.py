"""Units as systemd has them now, drop-ins included: installed, and shut as they were shipped."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator, Sequence

from agents.doctor.finding import Finding, doubtful, fine, wrong
from agents.observing import Place, Process, processes_of
from agents.observing.states import show
from agents.runtime.loading.agent_folder import read_folder
from schemas.agent.reading import NOWHERE
from schemas.errors import InvalidDocument

_SHUT = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectControlGroups": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "CapabilityBoundingSet": "",
}
"""What holds for every unit of ours, in the words of `systemctl show`."""
_MOST_EXPOSED = 1.2
_OVERALL = re.compile(r"Overall exposure level for \S+: (\d+\.\d+)")
_CHECKS, _COMMANDS = "agentbus-check.socket", "agent-tool@{}.socket"
_OFTEN = ("LoadState", "UnitFileState", "NeedDaemonReload", "FragmentPath", "User")


async def installed(place: Place) -> Sequence[Finding]:
    """Each unit is there, starts at boot, and is what is on disk."""
    return await asyncio.to_thread(lambda: [f for p in processes_of(place.fleet) for f in _installed(p)]) or [
        fine("every unit is installed and starts at boot")
    ]


def _installed(process: Process) -> Iterator[Finding]:
    state = show(process.unit, *_OFTEN)
    if state["LoadState"] != "loaded":
        yield wrong(f"{process.unit} is {state['LoadState']}", "agentbus install")
        return
    if state["NeedDaemonReload"] == "yes":
        yield wrong(f"{process.unit} was changed on disk and not read", "systemctl daemon-reload")
    if state["UnitFileState"] not in {"enabled", "static", "indirect", "generated"}:
        yield doubtful(f"{process.unit} does not start at boot", f"systemctl enable {process.unit}")
    if state["User"] in {"", "root"}:
        yield wrong(f"{process.unit} runs as root", f"systemctl revert {process.unit}")


async def sandbox(place: Place) -> Sequence[Finding]:
    """No drop-in has opened what was shut."""
    return await asyncio.to_thread(lambda: [f for p in processes_of(place.fleet) for f in _opened(p)]) or [
        fine(f"{len(_SHUT)} walls of each unit are in force")
    ]


def _opened(process: Process) -> Iterator[Finding]:
    state = show(process.unit, *_SHUT, "DropInPaths")
    for name, shut in _SHUT.items():
        if state[name] != shut:
            by = state["DropInPaths"] or "its unit file"
            yield wrong(f"{process.unit} has {name}={state[name]} by {by}", f"systemctl revert {process.unit}")


async def sockets(place: Place) -> Sequence[Finding]:
    """What checks proposed changes, and what runs commands of models, can be reached."""
    wanted = {_CHECKS: ("every proposed change is refused without it", f"systemctl enable --now {_CHECKS}")}
    for agent in place.fleet.agents:
        if _has_bash(place, agent):
            unit = _COMMANDS.format(agent)
            wanted[unit] = (f"the tool bash of {agent} does nothing without it", f"systemctl start {unit}")
    found = [
        wrong(f"{unit} is not active: {why}", fix)
        for unit, (why, fix) in wanted.items()
        if show(unit, "ActiveState")["ActiveState"] != "active"
    ]
    return found or [fine(f"{', '.join(wanted)} can be reached")]


def _has_bash(place: Place, agent: str) -> bool:
    try:
        return read_folder(place.home.live(agent), NOWHERE).file.tools.bash is not None
    except InvalidDocument:
        return False  # said by the check of the agents' files


async def exposure(place: Place) -> Sequence[Finding]:
    """systemd's own score, 0 shut and 10 open."""
    scores = await asyncio.to_thread(lambda: {p.unit: _score(p.unit) for p in processes_of(place.fleet)})
    above = {unit: score for unit, score in scores.items() if score > _MOST_EXPOSED}
    return [
        doubtful(f"{unit} has exposure {score}, above {_MOST_EXPOSED}", f"systemd-analyze security {unit}")
        for unit, score in above.items()
    ] or [fine(f"exposure {max(scores.values())} at most")]


def _score(unit: str) -> float:
    """The overall level; 10 where it cannot be told. The parts that `--json` lists do not add up to it."""
    said = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", unit], capture_output=True, text=True, timeout=20, check=False
    ).stdout
    found = _OVERALL.search(said)
    return float(found[1]) if found else 10.0
