"""The machine that runs: its service manager, and what of the fleet runs on it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from .errors import CommandFailed
from .places import RELEASES
from .release import Manifest
from .running import run, shown
from .steps import Step
from .tree import Tree

_AGENT = re.compile(r"^agent(-\d)?@.+\.service$")
_OURS = re.compile(
    r"^(nats-server\.service|agentbus-.+\.(service|socket)|agent-tool@.+\.socket|agent(-\d)?@.+\.service|agentbus\.target)$"
)
_SERVER = "nats-server.service"
_RELEASE = re.compile(rf"^{RELEASES}/([^/]+)/")
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


def gone_steps(names: Sequence[str]) -> list[Step]:
    """Stop units that another release has no more; those of templates end with who wants them."""
    units = [name for name in names if "@" not in name]
    return [command_step(["systemctl", "disable", "--now", *units])] if units else []


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


def restart_steps(release: str, made: Mapping[str, Manifest]) -> Iterator[Step]:
    """Restart what runs from another release: the server where its program is another one, our services, then one agent
    after the other.

    An agent's `systemctl restart` returns when the agent is ready, so there is never more than one away. What was left
    over by an earlier time, or put off, is done now.
    """
    running = [unit for unit in running_units() if unit.endswith(".service") and "check@" not in unit]
    old = {unit: name for unit in running if (name := _release_of(unit)) and name != release}
    server = old.pop(_SERVER, "")
    if server in made and release in made and made[server].nats_server != made[release].nats_server:
        yield command_step(["systemctl", "restart", _SERVER])
    services = [unit for unit in old if unit.startswith("agentbus-")]
    agents = [unit for unit in old if _AGENT.match(unit)]
    for unit in [*sorted(services), *sorted(agents)]:
        yield Step("run", f"systemctl restart {unit}", partial(_restart, unit))


def _restart(unit: str) -> None:
    try:
        run(["systemctl", "restart", unit])
    except CommandFailed as error:
        advice = f"see journalctl -u {unit}; the release of before is in use again with: agentbus install --rollback"
        raise CommandFailed(f"{error}\n{advice}") from None


def _release_of(unit: str) -> str:
    """The release that a unit's process was started from; empty where that cannot be told."""
    process = Path("/proc", run(["systemctl", "show", "--property=MainPID", "--value", unit]).strip())
    with contextlib.suppress(OSError):
        words = [*(process / "cmdline").read_text(errors="replace").split("\0")[:1], str((process / "exe").readlink())]
        return next((found[1] for word in words if (found := _RELEASE.match(word))), "")
    return ""
