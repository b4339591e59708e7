"""What a tool of an MCP server is called to a model: `mcp__SERVER__TOOL`.

Providers take up to 64 letters, digits, `_` and `-`. A tool's name may have up to 128 of these, `.` and `/`. A name
that fits stands as it is. In one that does not, other characters become `_`, it is cut, and the first eight
hexadecimal digits of the SHA-256 of the whole name follow, so that no two tools have one name.

Source: OpenAI function calling (`^[a-zA-Z0-9_-]{1,64}$`), Anthropic tool use, MCP 2025-11-25 tool names (SEP-986).
"""

from __future__ import annotations

import re
from typing import Final

from schemas.ids import sha256_hex

PREFIX: Final = "mcp__"
LONGEST: Final = 64
_OTHER = re.compile(r"[^A-Za-z0-9_-]")
_DIGITS = 8


def tool_name(server: str, tool: str) -> str:
    """The name of `tool` of `server` for a model; always valid, and different for different tools."""
    whole = f"{PREFIX}{server}__{tool}"
    if len(whole) <= LONGEST and not _OTHER.search(whole):
        return whole
    digest = sha256_hex(f"{server}\0{tool}".encode())[:_DIGITS]
    return f"{_OTHER.sub('_', whole)[: LONGEST - _DIGITS - 1]}_{digest}"
