"""What kind of change a proposal is: derived from what it changes, never taken from what it claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.agent.file_names import FILE_NAMES
from schemas.approvals import Kind
from schemas.documents import read_text
from schemas.errors import InvalidDocument

AGENT_FILE, FLEET_FILE, POLICY_FILE = "agent.yaml", "fleet.yaml", "policy.yaml"
AGENT_FILES = FILE_NAMES
"""What an agent's own file may be called; `AGENT_FILE` is the one that nearly all have."""
Contents = Mapping[str, bytes | None]
"""Path to content; None where there is none."""
_PRECEDENCE: tuple[Kind, ...] = ("code", "tool", "model", "budget", "prompt", "config")
BY_SECTION: dict[tuple[str, ...], Kind] = {
    ("handler",): "code",
    ("tools",): "tool",
    ("mcp",): "code",  # it names programs that are started
    ("routing",): "tool",
    ("safety",): "tool",
    ("http",): "tool",  # it opens ports
    ("llm",): "model",
    ("llm", "system_prompt"): "prompt",
    ("llm", "prompt_file"): "prompt",
    ("limits",): "budget",
    ("budget",): "budget",
    ("resilience",): "budget",
    ("memory",): "budget",
    ("agent",): "config",
    ("extensions",): "config",
    ("canary",): "config",
    ("heartbeat_interval_s",): "config",
}
"""Section of agent.yaml to kind. What has no row is `code`: a section that nobody thought of must not slip through."""
_AGENTS = "agents"


def kind_of(before: Contents, after: Contents) -> Kind:
    """The most sensitive kind among the changed files (path to content, None where there is none)."""
    found: set[Kind] = set()
    for path in before.keys() | after.keys():
        if path in AGENT_FILES:
            found |= _kinds_of_agent_file(before, after)
        else:
            found.add("prompt" if path.endswith((".md", ".txt")) else "code")
    return next((kind for kind in _PRECEDENCE if kind in found), "config")


def kind_of_fleet(before: Contents, after: Contents) -> tuple[Kind, str]:
    """The kind of a change to the fleet's own files, and the one agent it is about (empty: not one alone).

    `authority` when nothing changes but what known agents may do, else `policy`.
    """
    if before.keys() | after.keys() != {FLEET_FILE}:
        return "policy", ""
    old, new = (_mapping(side, FLEET_FILE) for side in (before, after))
    known, wanted = (dict(side.pop(_AGENTS, None) or {}) for side in (old, new))
    if old != new or known.keys() != wanted.keys():
        return "policy", ""
    changed = sorted(agent for agent in known if known[agent] != wanted[agent])
    return "authority", changed[0] if len(changed) == 1 else ""


def _kinds_of_agent_file(before: Contents, after: Contents) -> set[Kind]:
    """What differs in what the file says, whether it is written as YAML or as TOML."""
    old, new = _sections(before), _sections(after)
    changed = {section for section in old.keys() | new.keys() if old.get(section) != new.get(section)}
    return {BY_SECTION.get(section) or BY_SECTION.get(section[:1], "code") for section in changed}


def _sections(side: Contents) -> dict[tuple[str, ...], Any]:
    """The top-level keys, and those of `llm` one level deeper."""
    sections: dict[tuple[str, ...], Any] = {}
    for key, value in (item for name in AGENT_FILES for item in _mapping(side, name).items()):
        if key == "llm" and isinstance(value, dict):
            sections |= {("llm", str(inner)): item for inner, item in value.items()}
        else:
            sections[str(key),] = value
    return sections


def _mapping(side: Contents, name: str) -> dict[str, Any]:
    document = read_text((side.get(name) or b"").decode("utf-8", "replace"), name).value or {}
    if not isinstance(document, dict):
        raise InvalidDocument(f"{name} is not a mapping")
    return document
