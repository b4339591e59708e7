"""After provisioning, on a machine that has an installation: users for the fleet's agents, owners for its files,
and units that know where its server is."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bus.surroundings import Home
from schemas.fleet import Fleet

from .live import is_live, running_units
from .network import network_files
from .outside import PROVISIONED, OutsideFile, is_changed, read_record, remove_step, write_record
from .places import CURRENT, RECORD, STATE, SYSUSERS
from .release import UNITS as SHIPPED
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
    """Make the users of a fleet that was provisioned in this machine's own place, and give its files to who uses them;
    the lines of those who left go.

    Does nothing elsewhere: for another home, without an installation, for somebody who is not root. Returns the
    commands that were run.

    Raises:
        CommandFailed: one of them ended badly.
    """
    tree = Tree(Path("/"))
    if root != Path(STATE) or os.geteuid() != 0 or not is_live(tree) or not tree.is_there(RECORD):
        return []
    users = {f"{SYSUSERS}/{name}": line.encode() for name, line in user_lines(fleet).items()}
    has_changed = put_files(tree, {**users, **network_files(fleet, Home(root), tree.at(f"{CURRENT}/{SHIPPED}"))})
    commands = [["systemd-sysusers"], ["systemd-tmpfiles", "--create", "agentbus.conf"], *_filter_commands()]
    if has_changed:
        commands.append(["systemctl", "daemon-reload"])
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


def put_files(tree: Tree, wanted: Mapping[str, bytes]) -> bool:
    """Have these files and no others of their kind, noted as ours: `agentbus uninstall` removes them. Whether any changed.

    One that somebody changed, or made, stays. The users stay as well: systemd removes none, since their numbers own files.
    """
    record = read_record(tree)
    files = [OutsideFile(path, content) for path, content in wanted.items()]
    new = [file for file in files if tree.digest(file.path) != file.digest and not is_changed(tree, file.path, record)]
    left = [path for path in record.files if PROVISIONED.match(path) and path not in wanted]
    if new or left:
        kept = {path: digests for path, digests in record.files.items() if path not in left}
        noted = {file.path: record.noting(file.path, file.digest) for file in new}
        for path in left:
            if not is_changed(tree, path, record):
                remove_step(tree, path).do()
        write_record(tree, {**kept, **noted}, is_packaged=record.is_packaged)
    for file in new:
        tree.write(file.path, file.content)
    return bool(new or left)


def users_left(root: Path, member: str) -> Sequence[str]:
    """The system users of somebody who left the fleet of this machine's own place."""
    found = []
    for user in (f"agent-{member}", f"seal-{member}") if root == Path(STATE) else ():
        with suppress(KeyError):
            found.append(pwd.getpwnam(user).pw_name)
    return found
