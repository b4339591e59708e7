"""After provisioning, on a machine that has an installation: users for the fleet's agents, owners for its files."""

from __future__ import annotations

import os
from pathlib import Path

from schemas.fleet import Fleet

from .live import is_live, running_units
from .outside import OutsideFile, is_changed, read_record, write_record
from .places import RECORD, STATE, SYSUSERS
from .running import run, shown
from .tree import Tree

_WITNESSES = {"witness-a", "witness-b"}
"""Those that sysusers.d/agentbus.conf has."""
_FILTER, _FILTERED = "agentbus-packet-filter.service", "nats-server.service"


def user_lines(fleet: Fleet) -> dict[str, str]:
    """The files of sysusers.d that the fleet needs besides `agentbus.conf`: a name, and the line in it."""
    agents = {f"agentbus-agent-{name}.conf": _line(f"agent-{name}", f"agent {name}", name) for name in fleet.agents}
    others = sorted(set(fleet.witnesses) - _WITNESSES)
    return {**agents, **{f"agentbus-seal-{name}.conf": _line(f"seal-{name}", "witness", name) for name in others}}


def _line(user: str, what: str, state: str) -> str:
    return f'u {user} - "agentbus {what}" {STATE}/state/{state}\n'


def settle(root: Path, fleet: Fleet) -> list[str]:
    """Make the users of a fleet that was provisioned in this machine's own place, and give its files to who uses them.

    Does nothing elsewhere: for another home, without an installation, for somebody who is not root. Returns the
    commands that were run.

    Raises:
        CommandFailed: one of them ended badly.
    """
    tree = Tree(Path("/"))
    if root != Path(STATE) or os.geteuid() != 0 or not is_live(tree) or not tree.is_there(RECORD):
        return []
    _write_users(tree, fleet)
    commands = [["systemd-sysusers"], ["systemd-tmpfiles", "--create", "agentbus.conf"], *_filter_commands()]
    for command in commands:
        run(command)
    return [shown(command) for command in commands]


def _filter_commands() -> list[list[str]]:
    """Have the packet filter do what its file says now, where it or the server runs; one that is masked stays away.

    It is not waited for: a kernel without nftables is the doctor's to name, not a reason to end badly here.
    """
    is_there = run(["systemctl", "show", "--property=LoadState", "--value", _FILTER]).strip() == "loaded"
    is_wanted = is_there and {_FILTER, _FILTERED} & set(running_units())
    return [["systemctl", "--no-block", "reload-or-restart", _FILTER]] if is_wanted else []


def _write_users(tree: Tree, fleet: Fleet) -> None:
    """The files, noted as ours: `agentbus uninstall` removes them. One that somebody changed stays."""
    record = read_record(tree)
    files = [OutsideFile(f"{SYSUSERS}/{name}", line.encode()) for name, line in user_lines(fleet).items()]
    new = [file for file in files if tree.digest(file.path) != file.digest and not is_changed(tree, file.path, record)]
    if new:
        noted = {file.path: record.noting(file.path, file.digest) for file in new}
        write_record(tree, {**record.files, **noted}, is_packaged=record.is_packaged)
    for file in new:
        tree.write(file.path, file.content)
