"""Errors of MCP servers. `str()` is told to the model where a call failed: it names the server and the tool.

    AgentbusError
    ├── McpUnusable      the configuration cannot work: the operator's to fix
    └── McpError         a call failed
        ├── McpDown          the server does not run or does not answer; it is tried again by itself
        ├── McpTimedOut      no result in time; the server was told to stop, and may have acted all the same
        ├── McpUnreadable    the server answered with what is no result
        └── ToolChanged      the tool is not the one that was allowed: its definition has changed

What a server wrote never stands in a message to the model: an error is not fenced. A refusal of the server itself is a
result like any other.
"""

from __future__ import annotations

from schemas.errors import AgentbusError


class McpUnusable(AgentbusError):
    """A server cannot be started with this configuration; the message names the key."""


class McpError(AgentbusError):
    """A call of a tool of an MCP server failed."""


class McpDown(McpError):
    """The server is not there now."""


class McpTimedOut(McpError):
    """Whether it acted is not known."""


class McpUnreadable(McpError):
    """The call was made, and what came of it is not known."""


class ToolChanged(McpError):
    """The definition is not the pinned one."""
