"""The one place where the SDK is imported: when the first server is started, in a thread, since it takes a second and a half.

Its own log lines repeat what servers wrote, so nobody hears them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging

from .errors import McpUnusable

_LOGGERS = ("mcp", "client", "httpx2", "httpcore2")


async def load() -> None:
    """Have the SDK imported, so that importing what needs it costs nothing afterwards.

    Raises:
        McpUnusable: it is not installed.
    """
    if importlib.util.find_spec("mcp") is None:
        raise McpUnusable("MCP servers need a package more; run: pip install 'agentbus[mcp]'")
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    await asyncio.to_thread(_import)


def _import() -> None:
    import mcp.client.client
    import mcp.client.streamable_http  # noqa: F401
