"""Pins: a tool that was allowed stays what it was.

A server may change a tool's description or arguments after people have looked at it, and so tell the model something
else ("rug pull"). The digest of a definition is pinned: in the agent's file, where only an approved change gets, or,
where the file has none, as the process first saw it. A definition with another digest is not offered, and not called.

Source: MCP security best practices; OWASP "tool poisoning".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.canonical import canonical
from schemas.ids import sha256_hex

SCHEME = "sha256:"


def pin_of(name: str, description: str, schema: Mapping[str, Any]) -> str:
    """The pin of a definition: SHA-256 of its canonical JSON (RFC 8785).

    Raises:
        ValueError: it has numbers that have no one form.
    """
    document = {"description": description, "inputSchema": dict(schema), "name": name}
    return SCHEME + sha256_hex(canonical(document))


class Pins:
    """The pins of one server: those of the file, and what was first seen of other tools. Kept over its restarts."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)
        self._seen: dict[str, str] = {}

    def holds(self, tool: str, pin: str) -> bool:
        """Whether `tool` may have this definition; the first one of a tool without a pin may be any."""
        return (self._given.get(tool) or self._seen.setdefault(tool, pin)) == pin

    def is_given(self, tool: str) -> bool:
        """Whether the file pins it."""
        return tool in self._given
