"""Asking a process of the test's own loop how it is, over HTTP on its unix socket or a port."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bus.health.asking import Told, ask


async def asked(where: Path | int, path: str, method: str = "GET") -> Told:
    """One request to a socket, or to a port of loopback, while the loop goes on."""
    return await asyncio.to_thread(ask, where if isinstance(where, Path) else ("127.0.0.1", where), path, method)
