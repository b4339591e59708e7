"""The fleet's folder around a new agent: made with it, or told of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

import yaml

from agents.home import EXAMPLE
from schemas.documents import load_yaml, parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.subjects import AGENT_ID

FLEET_FILE: Final = "fleet.yaml"
_POLICY_FILE: Final = "policy.yaml"
_AGENTS_LINE = re.compile(r"^agents:[ \t]*(#.*)?\n", re.MULTILINE)
_FLEET = """\
# Who is on the bus, and who may ask whom.
name: {name}
agents:
  {agent}: {rights}
operators: [ops]             # may ask every agent and leave it tasks
reviewers:                   # may approve changes
  reviewer-a: {{groups: [staff]}}
  reviewer-b: {{groups: [staff]}}
auditors: [auditor]          # may read the audit trail, nothing else
nats: {{host: 127.0.0.1, port: 4222}}
"""


def begin_fleet(folder: Path, agent: str, rights: str) -> str:
    """Make the files of a fleet of this one agent; returns what is to be told of that.

    What the agent may ask is left out where it is not in the fleet.
    """
    name = folder.resolve().name
    text = _FLEET.format(name=name if re.fullmatch(AGENT_ID, name) else "fleet", agent=agent, rights=rights)
    try:
        parse_yaml(text, Fleet, FLEET_FILE)
    except InvalidDocument:
        text = text.replace(f"{agent}: {rights}", f"{agent}: {{}}    # {rights}, when they are here")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FLEET_FILE).write_text(text)
    if not (folder / _POLICY_FILE).exists():
        shutil.copyfile(EXAMPLE / _POLICY_FILE, folder / _POLICY_FILE)
    return f"made {folder / FLEET_FILE} and {folder / _POLICY_FILE}, a fleet with this agent"


def add_to_fleet(folder: Path, agent: str, rights: str) -> str:
    """Write the agent into the fleet file, or say where to write it; returns what is to be told of that.

    The file is changed only where the change can be seen to be that one entry and nothing else.
    """
    path = folder / FLEET_FILE
    text = path.read_text()
    for entry in (f"{agent}: {rights}", f"{agent}: {{}}"):
        changed = _AGENTS_LINE.sub(rf"\g<0>  {entry}\n", text, count=1)
        if _is_that_entry_alone(text, changed, entry):
            path.write_text(changed)
            return f"wrote into {path}: {entry}" + ("" if entry.endswith(rights) else f"    (it wants {rights})")
    return f"write into agents of {path}:  {agent}: {rights}"


def _is_that_entry_alone(before: str, after: str, entry: str) -> bool:
    try:
        parse_yaml(after, Fleet, FLEET_FILE)
        old, new, added = load_yaml(before, FLEET_FILE), load_yaml(after, FLEET_FILE), yaml.safe_load(entry)
    except InvalidDocument:
        return False
    return bool(new == {**old, "agents": {**old["agents"], **added}} and new != old)
