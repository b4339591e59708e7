"""The machine that runs: its service manager, and what of the fleet runs on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .running import run, shown
from .steps import Step
from .tree import Tree

_AGENT = re.compile(r"^agent(-\d)?@.+\.service$")
_OURS = re.compile(
    r"^(nats-server\.service|agentbus-.+\.(service|socket)|agent-tool\.socket|agent(-\d)?@.+\.service|agentbus\.target)$"
)
_SETTLE = (["systemd-sysusers"], ["systemd-tmpfiles", "--create", "agentbus.conf"], ["systemctl", "daemon-reload"])


def is_live(tree: Tree) -> bool:
    """Whether systemd runs here and the installation is for it. Source: sd_booted(3)."""
    return tree.is_machine and Path("/run/systemd/system").is_dir()


def settle_steps() -> list[Step]:
    """Have the service manager know what was written: users, folders, units."""
    return [command_step(command) for command in _SETTLE]


def command_step(command: list[str], detail: str = "") -> Step:
    """A command as a step."""
    return Step("run", shown(command), lambda: run(command), detail)


def running_units() -> list[str]:
    """The fleet's units that run."""
    listed = run(
        ["systemctl", "list-units", "--plain", "--no-legend", "--no-pager", "--state=active,activating,reloading"]
    )
    return [name for line in listed.splitlines() if (name := line.split()[0]) and _OURS.match(name)]


def enabled_units() -> list[str]:
    """The fleet's units that start at boot: what `systemctl enable` linked, instances of templates too."""
    names = {link.name for link in Path("/etc/systemd/system").glob("*.wants/*") if link.is_symlink()}
    return sorted(name for name in names if _OURS.match(name))


def restart_steps(*, is_server_new: bool) -> Iterator[Step]:
    """Restart what runs: the server where its program is another one, our services, then one agent after the other.

    An agent's `systemctl restart` returns when the agent is ready, so there is never more than one away.
    """
    running = [unit for unit in running_units() if unit.endswith(".service") and "check@" not in unit]
    if is_server_new and "nats-server.service" in running:
        yield command_step(["systemctl", "restart", "nats-server.service"])
    services = [unit for unit in running if unit.startswith("agentbus-")]
    agents = [unit for unit in running if _AGENT.match(unit)]
    for unit in [*sorted(services), *sorted(agents)]:
        yield command_step(["systemctl", "restart", unit])
