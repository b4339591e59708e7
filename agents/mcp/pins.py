"""Pins: a tool that was allowed stays what it was.

A server may change a tool's description or arguments after people have looked at it, and so tell the model something
else ("rug pull"). The digest of a definition is pinned: in the agent's file, where only an approved change gets, or,
where the file has none, as it was first seen. What was first seen is kept in the agent's state folder, with what the
file says of how the server is reached: another version in its arguments, once approved, may be another server. A
definition with another digest is not offered, and not called.

Source: MCP security best practices; OWASP "tool poisoning".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from bus.files import replace_durably
from schemas.agent import McpServer
from schemas.canonical import canonical
from schemas.errors import UNREADABLE
from schemas.ids import sha256_hex

SCHEME: Final = "sha256:"
SEEN_FILE: Final = "mcp-seen.json"
_MAX_SEEN: Final = 2_000
"""Tools without a pin, of one server. Behind that, new ones are refused: who lists ever new names fills no disk."""
_log = structlog.get_logger("mcp")


def pin_of(name: str, description: str, schema: Mapping[str, Any]) -> str:
    """The pin of a definition: SHA-256 of its canonical JSON (RFC 8785).

    Raises:
        ValueError: it has numbers that have no one form.
    """
    document = {"description": description, "inputSchema": dict(schema), "name": name}
    return SCHEME + sha256_hex(canonical(document))


class Seen:
    """The definitions that were first seen of tools without a pin, by server. Without a folder, until the process ends."""

    def __init__(self, state: Path | None = None) -> None:
        self._file = state / SEEN_FILE if state else None
        self._of: dict[str, dict[str, str]] = _read(self._file) if self._file else {}
        self._stored = msgspec.json.encode(self._of)
        self._turn = asyncio.Lock()

    def of(self, name: str, spec: McpServer) -> dict[str, str]:
        """What was seen of this server, reached in this way; to be added to."""
        reached = canonical([name, spec.command, spec.args, spec.url])
        return self._of.setdefault(sha256_hex(reached), {})

    async def keep(self) -> None:
        """Store what was added. Where the disk refuses, it holds until the process ends, and the log says so."""
        async with self._turn:
            data = msgspec.json.encode(self._of)
            if self._file is None or data == self._stored:
                return
            try:
                await asyncio.to_thread(replace_durably, self._file, data)
            except OSError as error:
                _log.error("mcp.seen_not_kept", file=str(self._file), reason=error.strerror)
                return
            self._stored = data


class Pins:
    """The pins of one server: those of the file, and what was first seen of other tools."""

    def __init__(self, given: Mapping[str, str], seen: dict[str, str]) -> None:
        self._given = dict(given)
        self._seen = seen

    def holds(self, tool: str, pin: str) -> bool:
        """Whether `tool` may have this definition; the first one of a tool without a pin may be any."""
        if tool in self._given:
            return self._given[tool] == pin
        if tool not in self._seen and len(self._seen) < _MAX_SEEN:
            self._seen[tool] = pin
        return self._seen.get(tool) == pin


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, dict[str, str]])
    except FileNotFoundError:
        return {}
    except UNREADABLE:
        _log.error("mcp.seen_unreadable", file=str(file))  # who can write it could run anything in place of the agent
        return {}
