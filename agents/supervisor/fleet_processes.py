"""Which processes a fleet is made of, in the order they start, and what each one gets."""

from __future__ import annotations

import os
from dataclasses import replace

from agents.mcp.config import with_servers
from agents.processes.approvers import SUPERVISOR_SOCKET
from agents.runtime.loading.agent_folder import read_folder
from agents.supervisor.child import Command
from approvals.applying.control import process_of
from bus import surroundings
from bus.health import doors
from bus.surroundings import Home
from schemas import names
from schemas.agent.references import variables_of
from schemas.fleet import Fleet

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "NATS_SERVER")
"""Variables of the caller that every child gets. A key goes to the one agent whose file names it."""


def surroundings_of_all() -> dict[str, str]:
    """The environment of every process, without what one of them alone is given."""
    return {**{key: os.environ[key] for key in _PASSED_ON if key in os.environ}, "PYTHONFAULTHANDLER": "1"}


def commands(fleet: Fleet, home: Home, url: str) -> list[list[Command]]:
    """Stages: the processes of one stage start together, after those of the stage before are ready."""
    agents = [command for agent in fleet.agents for command in instances(fleet, home, url, agent)]
    approvals = _command(names.APPROVALS, names.APPROVALS, ("approvals", "serve"), home, url)
    applier = _command(names.APPLIER, names.APPLIER, ("applier", "serve"), home, url)
    sealer = _command(names.SEALER, names.SEALER, ("sealer", "serve"), home, url)
    witnesses = [_command(name, name, ("witness", "serve", name), home, url) for name in fleet.witnesses]
    return [[approvals, applier, *agents, sealer, *witnesses]]


def instances(fleet: Fleet, home: Home, url: str, agent: str) -> list[Command]:
    """The processes that serve one agent, by slot."""
    arguments = ("agent", "run", str(home.live(agent)))
    keys = _keys(home, agent)
    made = []
    for slot in range(fleet.agents[agent].instances):
        command = _command(process_of(agent, slot), agent, arguments, home, url, keys)
        made.append(replace(command, environment={**command.environment, surroundings.SLOT: str(slot)}))
    return made


def _keys(home: Home, agent: str) -> tuple[str, ...]:
    """The environment variables that the agent's file refers to, and its `mcp.json`."""
    folder = read_folder(home.live(agent), os.environ)
    return (*variables_of(with_servers(folder.file, folder.folder)), *sorted(folder.read.variables))


def _command(
    name: str, principal: str, arguments: tuple[str, ...], home: Home, url: str, keys: tuple[str, ...] = ()
) -> Command:
    environment = {
        **surroundings_of_all(),
        **{key: os.environ[key] for key in keys if key in os.environ},
        surroundings.NATS_URL: url,
        surroundings.CREDENTIALS: str(home.credentials(principal)),
        surroundings.STATE: str(home.state(name)),
        surroundings.HOME: str(home.root),
        SUPERVISOR_SOCKET: str(home.socket),
        doors.SOCKET: str(home.health(name)),
    }
    home.state(name).mkdir(parents=True, exist_ok=True, mode=0o700)
    log = home.root / "log" / f"{name}.log"
    return Command(name, arguments, environment, log)
