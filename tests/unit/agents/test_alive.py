"""A loop that was late is told of, and only then."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from pathlib import Path

import pytest

from agents.home import EXAMPLE
from agents.notify import Notifier
from agents.processes.alive import alive
from agents.processes.looking_again import look_at_agent
from approvals.git import tree_of_folder
from bus.health.lateness import LATE_S, Lateness


async def test_a_late_loop_is_in_the_status_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager hears that the process is ready, then that its loop stood still, and for how long."""
    monkeypatch.setattr("bus.health.lateness.EVERY_S", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        lateness, loop = Lateness(), asyncio.get_running_loop()
        looking = asyncio.create_task(lateness.run())
        async with alive(Notifier(str(tmp_path / "notify")), lateness, "at work", asyncio.Event()):
            assert await loop.sock_recv(manager, 4096) == b"READY=1\nSTATUS=at work\n"
            await asyncio.sleep(0.02)  # the look has begun
            time.sleep(LATE_S + 0.05)
            told = await asyncio.wait_for(loop.sock_recv(manager, 4096), 5)
        assert told.startswith(b"STATUS=at work; the event loop stood still for 1.")
        assert lateness.on_late is None
        looking.cancel()


async def test_asked_again_it_says_what_is_there_and_goes_on(tmp_path: Path) -> None:
    """The same files, others, and such that cannot be used: each is told, between RELOADING and READY."""
    folder = tmp_path / "greeter"
    shutil.copytree(EXAMPLE / "agents/greeter", folder)
    file = folder / "agent.yaml"
    sound = file.read_text()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        look = look_at_agent(file, tree_of_folder(folder))

        async def said(text: str) -> str:
            file.write_text(text)
            asked.set()
            assert (await asyncio.wait_for(loop.sock_recv(manager, 4096), 5)).startswith(
                b"RELOADING=1\nMONOTONIC_USEC="
            )
            return (await asyncio.wait_for(loop.sock_recv(manager, 4096), 5)).decode()

        async with alive(Notifier(str(tmp_path / "notify")), Lateness(), "at work", asked, look):
            await loop.sock_recv(manager, 4096)
            assert await said(sound) == "READY=1\nSTATUS=at work; its files are those that run\n"
            assert "its file is sound; it comes into force with a restart" in await said(sound + "\n# more\n")
            assert "cannot be used, and what ran goes on: " in await said(sound + "\nnonsense: 1\n")
