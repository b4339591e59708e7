"""`agentbus fleet init`: a new fleet, from files that come with the product or from a folder, provisioned and stopped."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

import yaml

from agents.cli.fleet_commands import provision
from agents.cli.run import log_quietly
from agents.home import fleet_folder
from agents.membership.keeping import remove_folder
from approvals.change.kinds import FLEET_FILE
from approvals.git import BRANCH, Git
from bus.surroundings import Home
from schemas.documents import parse_yaml
from schemas.errors import AgentbusError, InvalidDocument
from schemas.fleet import Fleet
from schemas.subjects import AGENT_ID


def init(name: str, root: Path, source: Path, port: int) -> None:
    """Make the home of a fleet; where that fails, what was made of it is removed again.

    Raises:
        InvalidDocument: there is one already, or the files are not those of a fleet.
    """
    log_quietly()
    if not re.fullmatch(AGENT_ID, name):
        raise InvalidDocument(
            f"{name!r} is no name for a fleet: up to 25 small letters, digits and dashes, a letter first"
        )
    home = Home(root.resolve())
    # the folder alone is made by installing, and without a branch by one of these that was cut off
    if (home.repository / "HEAD").exists() and Git(home.repository).line("for-each-ref", BRANCH):
        raise InvalidDocument(
            f"there is a fleet in {home.root} already, and it stays as it is; name another folder with --home, or see "
            f"who is in it: agentbus fleet show --home {root}; where that was cut off, agentbus provision finishes it"
        )
    before = set(home.root.iterdir()) if home.root.exists() else set()
    with tempfile.TemporaryDirectory(prefix="agentbus-init-") as folder:
        files = _files(fleet_folder(source), Path(folder) / name, name, port)
        try:
            provision(home.root, files)
        except AgentbusError:
            _remove_new(home.root, before)
            raise
    print("next:")
    print(f"  agentbus fleet show --home {home.root}")
    print(f"  agentbus fleet add agent NAME --home {home.root}")
    print(
        f"  agentbus up --home {home.root}    # or start the units: systemctl enable --now agentbus.target agent@NAME"
    )


def _files(source: Path, target: Path, name: str, port: int) -> Path:
    """A copy of the fleet's files under another name; comments stay where the file allows it."""
    file = source / FLEET_FILE
    if not file.is_file():
        raise InvalidDocument(f"{source} has no {FLEET_FILE}; name a folder with {FLEET_FILE}, policy.yaml and agents/")
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".git"))
    text = _with(file.read_text(), ("name",), json.dumps(name))  # quoted: null is a name
    if port:
        text = _with(text, ("nats", "port"), str(port))
    (target / FLEET_FILE).write_text(text)
    return target


def _with(text: str, path: tuple[str, ...], value: str) -> str:
    """The fleet file with another value at `path`.

    Raises:
        InvalidDocument: that is no such value, or the file has none there.
    """
    parse_yaml(text, Fleet, FLEET_FILE)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in path:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((found for name, found in pairs if name.value == key), None)
    if node is None:
        raise InvalidDocument(f"{FLEET_FILE} has no {'.'.join(path)}; write it there first")
    changed = text[: node.start_mark.index] + value + text[node.end_mark.index :]
    parse_yaml(changed, Fleet, FLEET_FILE)
    return changed


def _remove_new(root: Path, before: set[Path]) -> None:
    for path in set(root.iterdir()) - before if root.exists() else ():
        remove_folder(path) if path.is_dir() else path.unlink()
