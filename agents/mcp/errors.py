"""Errors of MCP servers. `str()` is told to the model where a call failed: it names the server and the tool.

    AgentbusError
    ├── McpUnusable      the configuration cannot work: the operator's to fix
    └── ToolError
        └── McpError         a call failed
            ├── McpDown          the server does not run or does not answer; it is tried again by itself
            ├── McpTimedOut      no result in time; the server was told to stop, and may have acted all the same
            ├── McpUnreadable    the server answered with what is no result
            ├── McpFailed        the server says that it did not do it
            └── ToolChanged      the tool is not the one that was allowed: its definition has changed

What a server wrote stands in `found` alone, which the loop fences. The first three are outages: a tool of which they are
told again and again is left alone for a while (`resilience.breaker`).
"""

from __future__ import annotations

from agents.tools.errors import ToolError
from schemas.errors import AgentbusError


class McpUnusable(AgentbusError):
    """A server cannot be started with this configuration; the message names the key."""


class McpError(ToolError):
    """A call of a tool of an MCP server failed."""


class McpDown(McpError):
    """The server is not there now."""

    word, is_outage = "away", True


class McpTimedOut(McpError):
    """Whether it acted is not known."""

    word, is_outage = "too late", True


class McpUnreadable(McpError):
    """The call was made, and what came of it is not known."""

    word, is_outage = "unreadable", True


class McpFailed(McpError):
    """The server works and says no: arguments that it does not take, or something that it could not do."""


class ToolChanged(McpError):
    """The definition is not the pinned one."""

    word = "changed"
