"""Somebody joins a fleet, or leaves it: fleet file, keys, server, trail and processes, whether the fleet runs or not.

The fleet file says it first, so that whoever looks from then on sees the same; where the server does not take it,
the file and the server's configuration are again what they were.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agents.home import ensure_live
from agents.membership.changes import joined, left
from agents.membership.hosts import Host, alone, hosted
from agents.membership.keeping import forget_keys
from agents.membership.repository import JOINS, LEAVES, Commit, commit_fleet, fleet_text, unfinished
from agents.membership.roles import AGENT, PEOPLE, WITNESS, role_of
from agents.ports import require_own_ports
from agents.runtime.loading.agent_folder import read_folder
from approvals.applying.provisioned import note_by_hand
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.provision.membership.changing import Event, change_members, purge_streams
from bus.provision.provision import put_in_force
from bus.surroundings import Home
from schemas import names
from schemas.agent.reading import NOWHERE
from schemas.errors import AgentbusError
from schemas.fleet import Fleet
from schemas.ids import sha256_hex

Say = Callable[[str], None]
_UNDONE: Final = (AgentbusError, OSError, asyncio.CancelledError)
"""What a change is taken back for: the last is Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Joining:
    """Who is to join. `folder` has an agent's files; None where the repository has them already."""

    name: str
    role: str
    rights: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """What was done: who runs the fleet, how many imports were tried, and what is left for a person to do."""

    member: str
    role: str
    host: str
    probed: int
    steps: Sequence[str]


async def join(home: Home, joining: Joining, by: str, say: Say) -> Moved:
    """Have somebody join; returns when it is in force and was seen to work.

    Raises:
        InvalidDocument: the fleet cannot have it. NotProvisioned: the server does not take it, and nothing was changed.
        RestartFailed: it is in force, but a process of the fleet could not be started.
    """
    git, name, role = Git(home.repository), joining.name, joining.role
    if joining.folder:
        read_folder(joining.folder, NOWHERE)  # before a file of it is in the repository
    fleet = rules_in_force(git).fleet
    change = joined(fleet_text(git), name, role, joining.rights)
    async with hosted(home, fleet) as host:
        folder = (name, joining.folder) if joining.folder else None
        commit = commit_fleet(git, change.text, f"{name}: {JOINS} {role}", folder)
        try:
            if role == AGENT:
                ensure_live(git, home, name)
                require_own_ports(change.fleet, {agent: home.live(agent) for agent in change.fleet.agents}, NOWHERE)
            say(f"keys, permissions and streams for {name}")
            event = Event("added", name, role, by, sha256_hex(change.text.encode()))
            probed = await change_members(change.fleet, home, host.servers, [event])
        except _UNDONE:
            await _back(home, fleet, host, commit)
            forget_keys(home, name)
            home.live(name).unlink(missing_ok=True)
            raise
        steps = await _settled(home, host, change.fleet, name, role, say)
    return Moved(name, role, host.name, probed, (*steps, *_for_people(home, name, role)))


async def leave(home: Home, name: str, by: str, say: Say, *, is_purging: bool = False) -> Moved:
    """Have somebody leave: its processes end in order, then its keys are refused and its connections closed.

    What it kept stays, unless `is_purging`: then what the server's store has of it is deleted. Raises as `join`.
    """
    git = Git(home.repository)
    fleet = rules_in_force(git).fleet
    role, change = role_of(fleet, name), left(fleet_text(git), name)
    async with hosted(home, fleet) as host:
        say(f"stopping {name}")
        await host.stop(fleet, name)
        if is_purging:
            await purge_streams(fleet, home, host.servers, name)
        commit = commit_fleet(git, change.text, f"{name}: {LEAVES}")
        try:
            say(f"revoking the keys of {name}")
            event = Event("removed", name, role, by, sha256_hex(change.text.encode()))
            await change_members(change.fleet, home, host.servers, [event])
        except _UNDONE:
            await _back(home, fleet, host, commit)
            raise
        forget_keys(home, name)
        home.live(name).unlink(missing_ok=True)
        steps = await _settled(home, host, change.fleet, name, role, say)
    return Moved(name, role, host.name, 0, steps)


def take_back_interrupted(home: Home) -> None:
    """A change that was cut off is taken back, so that it can be made again; what is in force by now stays.

    Raises:
        PermissionDenied: this is not the home's owner. NotProvisioned: a change is being made now.
    """
    with alone(home):
        if (commit := unfinished(home)) is not None:
            commit.take_back()


async def _settled(home: Home, host: Host, fleet: Fleet, name: str, role: str, say: Say) -> list[str]:
    say(f"telling {host.name}")
    try:
        steps = await host.adopt(fleet, name)
        if role == WITNESS:
            await host.restart(fleet, names.SEALER)  # it asks whom its policy names, which it reads as it starts
    finally:
        note_by_hand(home, time.time_ns())  # the last step: what is not noted is begun anew by the same command
    return steps


async def _back(home: Home, fleet: Fleet, host: Host, commit: Commit) -> None:
    """As far as it goes: the error that led here is what counts."""
    with contextlib.suppress(AgentbusError):
        commit.take_back()
    with contextlib.suppress(AgentbusError):
        await put_in_force(fleet, home, host.servers)


def _for_people(home: Home, name: str, role: str) -> list[str]:
    if role not in PEOPLE:
        return []
    return [f"XDG_CONFIG_HOME={home.contexts} nats --context {name} …    # or give {name} its key and that context"]
