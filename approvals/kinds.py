"""What kind of change a proposal is: derived from what it changes, never taken from what it claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.approvals import Kind
from schemas.documents import load_yaml
from schemas.errors import InvalidDocument

AGENT_FILE = "agent.yaml"
_PRECEDENCE: tuple[Kind, ...] = ("code", "tool", "model", "budget", "prompt", "config")
_BY_SECTION: dict[tuple[str, ...], Kind] = {
    ("handler",): "code",
    ("tools",): "tool",
    ("llm", "pool"): "model",
    ("llm", "request_timeout_s"): "model",
    ("limits",): "budget",
    ("llm", "system_prompt"): "prompt",
}
"""Section of agent.yaml to kind; the rest of the file is `config`."""


def kind_of(before: Mapping[str, bytes | None], after: Mapping[str, bytes | None]) -> Kind:
    """The most sensitive kind among the changed files (path to content, None where there is none)."""
    found: set[Kind] = set()
    for path in before.keys() | after.keys():
        if path == AGENT_FILE:
            found |= _kinds_of_agent_file(before.get(path) or b"", after.get(path) or b"")
        else:
            found.add("prompt" if path.endswith((".md", ".txt")) else "code")
    return next((kind for kind in _PRECEDENCE if kind in found), "config")


def _kinds_of_agent_file(before: bytes, after: bytes) -> set[Kind]:
    old, new = _sections(before), _sections(after)
    changed = {section for section in old.keys() | new.keys() if old.get(section) != new.get(section)}
    return {_BY_SECTION.get(section) or _BY_SECTION.get(section[:1], "config") for section in changed}


def _sections(text: bytes) -> dict[tuple[str, ...], Any]:
    """The top-level keys, and those of `llm` one level deeper."""
    document = load_yaml(text, AGENT_FILE) or {}
    if not isinstance(document, dict):
        raise InvalidDocument(f"{AGENT_FILE} is not a mapping")
    sections: dict[tuple[str, ...], Any] = {}
    for key, value in document.items():
        if key == "llm" and isinstance(value, dict):
            sections |= {("llm", str(inner)): item for inner, item in value.items()}
        else:
            sections[str(key),] = value
    return sections
