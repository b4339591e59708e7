"""What the author of a tool imports: `from agents.tool import Context, ToolFailed, tool`."""

from __future__ import annotations

from agents.context import Context
from agents.tools.authoring import tool
from agents.tools.errors import ToolAway, ToolFailed, ToolRefused

__all__ = ["Context", "ToolAway", "ToolFailed", "ToolRefused", "tool"]
