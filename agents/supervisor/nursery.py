"""Processes of a fleet that start with everything imported: one process imports the product, and forks for each of them.

A process of the fleet needs most of a second of a processor until its first line, nearly all of it to import what the
others import, too; a fork needs milliseconds, and they share the memory. The process that forks (`agents.cli.forking`)
has no threads, no loop and no keys: what a process is told, and the keys in its environment, are read by it alone. All
else is as if each were started by itself, but for one thing: a process that is started again runs the version of the
product that the fleet was started with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from agents.supervisor.child import Command
from bus.server import end_with_parent

_MODULE = "agents.cli.forking"
_WORD_BYTES = 64


@dataclass(eq=False, slots=True)
class Forked:
    """A process that the nursery started; see `agents.supervisor.child.Process`."""

    pid: int
    returncode: int | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> int:
        """See `Process.wait`."""
        await self._ended.wait()
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        """See `Process.send_signal`."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """See `Process.kill`."""
        self.send_signal(signal.SIGKILL)

    def end(self, code: int) -> None:
        """It was told that the process has ended."""
        self.returncode = code
        self._ended.set()


class Nursery:
    """Starts processes by forking; the process that forks runs in `environment`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._turn = asyncio.Lock()  # one birth at a time: the line holds no more than a few words
        self._line: socket.socket | None = None
        self._parent: asyncio.subprocess.Process | None = None
        self._births: deque[asyncio.Future[Forked]] = deque()  # in the order in which they will be told
        self._alive: dict[int, Forked] = {}

    async def open(self) -> socket.socket:
        """Start the process that forks, where none runs; it imports while others do their work."""
        if self._line is not None:
            return self._line
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._on_word, ours)
        self._line = ours  # before anything is waited for: there is one, and where it does not come to be, that is told
        with theirs:
            self._parent = await asyncio.create_subprocess_exec(
                sys.executable, "-m", _MODULE, str(theirs.fileno()), stdin=asyncio.subprocess.DEVNULL,
                env=dict(self._environment), pass_fds=[theirs.fileno()], start_new_session=True,
                preexec_fn=end_with_parent,
            )  # fmt: skip
        return ours

    async def begin(self, command: Command, environment: Mapping[str, str], log: IO[bytes]) -> Forked:
        """Start `command`; see `agents.supervisor.child.Begin`. It has ended at once where nothing can be started."""
        words = {"name": command.name, "arguments": command.arguments, "environment": dict(environment)}
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:
            with theirs:
                child = await self._fork(theirs.fileno(), log.fileno())
            with contextlib.suppress(OSError):  # it has ended, which is told
                await asyncio.get_running_loop().sock_sendall(ours, json.dumps(words).encode())
        return child

    async def _fork(self, words: int, log: int) -> Forked:
        async with self._turn:
            line = await self.open()
            born: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
            self._births.append(born)
            with contextlib.suppress(OSError):  # the process that forks has ended, which is told
                socket.send_fds(line, [b"fork"], [words, log])
            return await born

    def _on_word(self, line: socket.socket) -> None:
        """`PID` of who was born, `PID CODE` of who ended; the end of the line when the process that forks has ended."""
        try:
            pid, _, code = line.recv(_WORD_BYTES).decode().partition(" ")
        except BlockingIOError:
            return
        except OSError:
            pid = code = ""
        if not pid:
            self._gone()
        elif code:
            self._alive.pop(int(pid)).end(int(code))
        else:
            self._alive[int(pid)] = child = Forked(int(pid))
            born = self._births.popleft()
            if not born.cancelled():  # else it hears nothing of what it is to be, and ends
                born.set_result(child)

    async def close(self) -> None:
        """End the process that forks, and at once what it started and still runs; the next `begin` starts another."""
        self._gone()
        if self._parent:
            await self._parent.wait()

    def _gone(self) -> None:
        """Nothing is heard of its children any more: they end, so that none runs beside its successor."""
        if self._line is None:
            return
        asyncio.get_running_loop().remove_reader(self._line.fileno())
        self._line.close()
        self._line = None
        for child in self._alive.values():
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            child.end(-signal.SIGKILL)
        self._alive.clear()
        for born in self._births:
            if not born.cancelled():
                born.set_result(stillborn := Forked(0))
                stillborn.end(-signal.SIGKILL)
        self._births.clear()
