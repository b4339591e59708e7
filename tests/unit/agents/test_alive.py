"""A loop that was late is told of, and only then."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from agents.notify import Notifier
from agents.processes.alive import alive
from bus.health.lateness import LATE_S, Lateness


async def test_a_late_loop_is_in_the_status_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager hears that the process is ready, then that its loop stood still, and for how long."""
    monkeypatch.setattr("bus.health.lateness.EVERY_S", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        lateness, loop = Lateness(), asyncio.get_running_loop()
        looking = asyncio.create_task(lateness.run())
        async with alive(Notifier(str(tmp_path / "notify")), lateness, "at work"):
            assert await loop.sock_recv(manager, 4096) == b"READY=1\nSTATUS=at work\n"
            await asyncio.sleep(0.02)  # the look has begun
            time.sleep(LATE_S + 0.05)
            told = await asyncio.wait_for(loop.sock_recv(manager, 4096), 5)
        assert told.startswith(b"STATUS=at work; the event loop stood still for 1.")
        assert lateness.on_late is None
        looking.cancel()
