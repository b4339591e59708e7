"""What leaves `agents.notify` on the wire, read from a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A datagram socket where systemd's would be."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(5)
        listener.bind(str(tmp_path / "notify"))
        yield listener


def notifier(manager: socket.socket, **more: str) -> Notifier:
    """A notifier as the environment of a unit makes it."""
    return Notifier.from_environment({"NOTIFY_SOCKET": str(manager.getsockname()), **more})


def test_each_call_is_one_datagram_of_assignments(manager: socket.socket) -> None:
    """READY, STATUS, WATCHDOG, EXTEND_TIMEOUT_USEC and STOPPING have systemd's spelling, a line each."""
    told = notifier(manager)
    assert told.ready("serving")
    assert manager.recv(4096) == b"READY=1\nSTATUS=serving\n"
    assert told.status("waiting for NATS")
    assert manager.recv(4096) == b"STATUS=waiting for NATS\n"
    assert told.watchdog()
    assert manager.recv(4096) == b"WATCHDOG=1\n"
    assert told.extend_timeout(2.5)
    assert manager.recv(4096) == b"EXTEND_TIMEOUT_USEC=2500000\n"
    assert told.stopping()
    assert manager.recv(4096) == b"STOPPING=1\n"


def test_a_status_cannot_smuggle_an_assignment(manager: socket.socket) -> None:
    """A line break or control character in a status text never starts an assignment of its own."""
    assert notifier(manager).status("bad\nMAINPID=1\r\n\x1b[2Jx")
    assert manager.recv(4096) == b"STATUS=bad MAINPID=1 [2Jx\n"


def test_a_status_is_cut_to_a_line_that_fits(manager: socket.socket) -> None:
    """A status text is at most 500 characters long."""
    assert notifier(manager).status("x" * 100_000)
    assert manager.recv(65536) == b"STATUS=" + b"x" * 500 + b"\n"


def test_an_abstract_socket_is_reached() -> None:
    """`@name` means the abstract namespace."""
    name = f"agentbus-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(5)
        listener.bind("\0" + name)
        assert Notifier.from_environment({"NOTIFY_SOCKET": "@" + name}).ready()
        assert listener.recv(4096) == b"READY=1\n"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
async def test_without_a_manager_nothing_happens(environment: dict[str, str]) -> None:
    """Outside systemd every call answers False, and feeding the watchdog ends at once."""
    told = Notifier.from_environment({**environment, "WATCHDOG_USEC": "1000000"})
    assert not any((told.ready(), told.status("x"), told.watchdog(), told.extend_timeout(1), told.stopping()))
    await asyncio.wait_for(told.feed_watchdog(), 5)


def test_a_manager_that_went_away_is_no_error(tmp_path: Path) -> None:
    """A socket that is not there, or that nobody reads, is answered with False."""
    assert not Notifier(str(tmp_path / "nothing")).ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as closed:
        closed.bind(str(tmp_path / "closed"))
    assert not Notifier(str(tmp_path / "closed")).ready()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_read(environment: dict[str, str], expected: float | None) -> None:
    """The interval counts only for the process it is addressed to, and only when it is a positive number."""
    assert Notifier.from_environment(environment).watchdog_s == expected


async def test_the_loop_feeds_the_watchdog(manager: socket.socket) -> None:
    """As long as the loop runs, signs of life follow each other without further calls."""
    manager.setblocking(False)
    feeding = asyncio.create_task(notifier(manager, WATCHDOG_USEC="20000").feed_watchdog())
    try:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            assert await asyncio.wait_for(loop.sock_recv(manager, 4096), 5) == b"WATCHDOG=1\n"
    finally:
        feeding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await feeding


async def test_a_blocked_loop_does_not_feed(manager: socket.socket) -> None:
    """What feeds the watchdog is the loop itself: nothing is sent while the loop is not let run."""
    feeding = asyncio.create_task(notifier(manager, WATCHDOG_USEC="2000").feed_watchdog())
    await asyncio.sleep(0)  # let it send its first sign of life, then keep the loop to ourselves
    assert manager.recv(4096) == b"WATCHDOG=1\n"
    manager.settimeout(0.1)  # fifty intervals, in which a thread would have sent
    with pytest.raises(TimeoutError):
        manager.recv(4096)
    feeding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await feeding
