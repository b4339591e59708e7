"""Which secrets and environment variables an agent's file refers to, wherever in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .file import AgentFile
from .mcp import VARIABLE
from .tool_settings import HEADER_REFERENCE

_TEXTS = frozenset({"system_prompt", "description"})
"""What people write here is no reference, whatever it looks like."""


def references_of(file: AgentFile) -> tuple[str, ...]:
    """Every `env:NAME`, `file:PATH` and `credential:NAME`, in the order of the file."""
    found = (HEADER_REFERENCE.fullmatch(text) for text in _strings(file.model_dump(mode="json")))
    return tuple(dict.fromkeys(match["reference"] for match in found if match))


def variables_of(file: AgentFile) -> tuple[str, ...]:
    """The environment variables that its secrets and its MCP servers are read from."""
    secrets = [one.removeprefix("env:") for one in references_of(file) if one.startswith("env:")]
    servers = _strings(file.mcp.model_dump(mode="json"))
    return tuple(dict.fromkeys([*secrets, *(match[1] for text in servers for match in VARIABLE.finditer(text))]))


def _strings(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
    elif isinstance(value, str) and key not in _TEXTS:
        yield value
