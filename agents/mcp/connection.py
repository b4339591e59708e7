"""One connection to a server, by the SDK's client. Imported with the SDK only.

The client offers nothing: no sampling, no roots, no questions to people. A server that asks for them is refused by the
SDK. Results are not checked against the schema that the server gave for them: a pattern of its own could keep this
process busy for hours.

Source: MCP 2025-11-25 and 2026-07-28; the `mcp` SDK 2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import anyio
import mcp_types
import pydantic
from mcp.client.client import Client
from mcp.client.session import IncomingMessage
from mcp.shared.exceptions import MCPError

from schemas.a2a import JsonObject
from schemas.text import harmless

from .child import Child
from .config import Command, Endpoint
from .errors import McpDown, McpError, McpFailed, McpTimedOut, McpUnreadable
from .listing import MAX_LISTED
from .results import text_of
from .transports import over_http, over_stdio

_MAX_PAGES: Final = 100
_SAID: Final = 500
_TERMINATED: Final = "Session terminated"
"""What the SDK makes of a 404 to a session that the server has forgotten."""
_ERROR_PAGE: Final = "Server returned an error response"
"""What it makes of an HTTP error that holds no error of the protocol: the server, or what stands before it, does not work."""


@dataclass(slots=True)
class News:
    """Of a connection: `event` is set when its tools may have changed, or when it `is_ended`."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    is_ended: bool = False

    def end(self) -> None:
        """It is gone."""
        self.is_ended = True
        self.event.set()


@asynccontextmanager
async def connected(
    name: str, reached: Command | Endpoint, timeout_s: float, on_child: Callable[[Child], None]
) -> AsyncIterator[Connection]:
    """Connect and agree on a version of the protocol. Bound it in time; leave it in the same task.

    Raises:
        McpUnusable: the child cannot be started. Whatever `problems.why` tells of: it broke, then or later.
    """
    news = News()

    async def on_message(message: IncomingMessage) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            news.event.set()

    transport = (
        over_stdio(name, reached, on_child, news.end) if isinstance(reached, Command) else over_http(reached, timeout_s)
    )
    us = mcp_types.Implementation(name="agentbus", version=version("agentbus"))
    async with Client(transport, cache=None, client_info=us, message_handler=on_message) as client:
        yield Connection(name, client, news)


class Connection:
    """What one does with a server, and hears of it."""

    def __init__(self, name: str, client: Client, news: News) -> None:
        self.news = news
        self.version = client.protocol_version
        self._name = name
        self._client = client

    async def definitions(self) -> list[mcp_types.Tool]:
        """The tools that it lists, up to a number that nobody needs.

        Raises:
            MCPError, pydantic.ValidationError: it answers with an error, or with no list.
        """
        if self._client.server_capabilities.tools is None and self._client.session.initialize_result is not None:
            return []
        found: list[mcp_types.Tool] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await self._client.session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            found += page.tools
            cursor = page.next_cursor
            if cursor is None or len(found) >= MAX_LISTED:
                break
        return found[:MAX_LISTED]

    async def call(self, tool: str, arguments: JsonObject, timeout_s: float) -> str:
        """What the tool gave, as text. Cancelling it tells the server.

        Raises:
            McpError: for the model, in words of ours; those of the server are what it `found`.
        """
        request = mcp_types.CallToolRequest(params=mcp_types.CallToolRequestParams(name=tool, arguments=arguments))
        try:
            result = await self._client.session.send_request(
                request, mcp_types.CallToolResult, request_read_timeout_seconds=timeout_s
            )
        except MCPError as error:
            raise self._refusal(tool, error, timeout_s) from None
        except pydantic.ValidationError:
            raise McpUnreadable(f"{self._name}: {tool} did not answer with a result") from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise self._gone(tool) from None
        text = text_of(list(result.content), result.structured_content)
        if result.is_error:
            raise self._failed(tool, text)
        return text

    def _refusal(self, tool: str, error: MCPError, timeout_s: float) -> McpError:
        if error.code == mcp_types.REQUEST_TIMEOUT:
            return McpTimedOut(
                f"{self._name}: {tool} did not answer within {timeout_s:g} s and was told to stop; it may have acted"
            )
        if error.code == mcp_types.CONNECTION_CLOSED:
            return self._gone(tool)
        if error.message == _TERMINATED:
            self.news.end()
            return McpDown(f"{self._name} has begun anew and is being connected again; {tool} did nothing, try again")
        if error.message == _ERROR_PAGE:
            return McpUnreadable(
                f"{self._name} answered {tool} with an error of HTTP; do without it, or try again later"
            )
        return self._failed(tool, harmless(error.message[:_SAID]))

    def _failed(self, tool: str, said: str) -> McpFailed:
        return McpFailed(f"{self._name}: {tool} did not do it. It says:", found=said)

    def _gone(self, tool: str) -> McpDown:
        self.news.end()
        return McpDown(f"{self._name} went away during {tool}, which may have acted; it is being connected again")
