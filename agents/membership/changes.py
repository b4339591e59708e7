"""A change of who is in the fleet, as a change of the fleet file's text that says exactly that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from agents.membership import fleet_text
from agents.membership.roles import AGENT, REVIEWER, SECTIONS, role_of, with_member, without_member
from approvals.change.kinds import FLEET_FILE
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Changed:
    """A fleet file and what it says."""

    text: str
    fleet: Fleet


def joined(text: str, name: str, role: str, rights: Mapping[str, Any]) -> Changed:
    """The fleet file with one member more.

    Raises:
        InvalidDocument: the fleet cannot have it, or the file is written so that a person has to write the lines.
    """
    fleet = parse_yaml(text, Fleet, FLEET_FILE)
    wanted = with_member(fleet, name, role, rights)
    section, entry = SECTIONS[role], _flow(dict(rights))
    written = _flow(name)  # null, on and the like are names, and other things without quotes
    lines = f"{written}: {entry}" if role in {AGENT, REVIEWER} else written
    try:
        changed = fleet_text.added(text, (section,), written, entry)
    except InvalidDocument:
        changed = f"{text.rstrip()}\n{section}: {_flow(wanted.model_dump(exclude_unset=True)[section])}\n"
    return _compared(changed, wanted, f"write into {section}:  {lines}")


def left(text: str, name: str) -> Changed:
    """The fleet file without a member.

    Raises:
        InvalidDocument: it is not there, the fleet cannot be without it, or a person has to take out the lines.
    """
    fleet = parse_yaml(text, Fleet, FLEET_FILE)
    section = SECTIONS.get(role_of(fleet, name))
    if section is None:
        raise InvalidDocument(f"{name} is a process of the product itself; a fleet is not without it")
    wanted = without_member(fleet, name)
    by_hand = f"take {name} out of {section}, and out of what others ask"
    try:
        changed = fleet_text.removed(text, (section,), name)
        for agent in wanted.agents:
            if name in fleet.agents[agent].asks:
                changed = fleet_text.removed(changed, (SECTIONS[AGENT], agent, "asks"), name)
    except InvalidDocument:
        raise InvalidDocument(f"{FLEET_FILE} cannot be changed by this command; {by_hand}") from None
    return _compared(changed, wanted, by_hand)


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).strip().removesuffix("\n...")


def _compared(text: str, wanted: Fleet, by_hand: str) -> Changed:
    """What the text says has to be what was wanted, whatever was done to make it.

    Raises:
        InvalidDocument: it is not.
    """
    try:
        is_wanted = parse_yaml(text, Fleet, FLEET_FILE) == wanted
    except InvalidDocument:
        is_wanted = False
    if not is_wanted:
        raise InvalidDocument(f"{FLEET_FILE} cannot be changed by this command; {by_hand}")
    return Changed(text, wanted)
