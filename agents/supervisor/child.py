"""One child process: started, waited for until it says READY, restarted when it dies, stopped in order.

A child tells its state by sd_notify, the same way it tells systemd. One that ends with a configuration
error, or dies too often, is not started again: that needs a person.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol

from bus.server import end_with_parent
from schemas.errors import AgentbusError

State = Literal["stopped", "starting", "ready", "stopping", "restarting", "failed"]
CONFIGURATION_ERROR = 78
"""sysexits' EX_CONFIG: starting it again cannot help."""
BURST, BURST_WINDOW_S = 5, 60.0
_RESTART_DELAY_S = 0.3
_STOP_TIMEOUT_S = 30.0


class ChildFailed(AgentbusError):
    """A process did not become ready; the message is its own last word."""


@dataclass(frozen=True, slots=True)
class Command:
    """A process of the command line, by its arguments there, and where its output goes."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path


class Process(Protocol):
    """What is known of a process that was started, and what can be done to it."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, the negative number of the signal that ended it; nothing while it runs."""

    async def wait(self) -> int:
        """Until it has ended: its `returncode`."""

    def send_signal(self, number: int, /) -> None:
        """Send it a signal. Raises ProcessLookupError where it has just ended."""

    def kill(self) -> None:
        """Send it SIGKILL. Raises as `send_signal`."""


Begin = Callable[[Command, Mapping[str, str], IO[bytes]], Awaitable[Process]]
"""Starts a command with this environment, as the leader of a session, and with this file as its output."""


async def executed(command: Command, environment: Mapping[str, str], log: IO[bytes]) -> Process:
    """A process that is started by itself; see `Begin`."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agents.cli", *command.arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log,
        stderr=log, env=environment, start_new_session=True, preexec_fn=end_with_parent,
    )  # fmt: skip


class Deaths:
    """Counts how often something ended by itself, and says when that is too often to start it again."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def another_is_too_many(self) -> bool:
        """Count one more; whether there were `BURST` of them within `BURST_WINDOW_S`."""
        now = time.monotonic()
        self._times = [*(t for t in self._times if now - t < BURST_WINDOW_S), now]
        return len(self._times) >= BURST

    def forget(self) -> None:
        """A person started it: count anew."""
        self._times.clear()


class Child:
    """Keeps one command running between `start` and `stop`."""

    def __init__(self, command: Command, on_change: Callable[[Child], None], begin: Begin = executed) -> None:
        self.command = command
        self.state: State = "stopped"
        self.status = ""
        """What the process last said of itself."""
        self.restarts = 0
        self._on_change = on_change
        self._begin = begin
        self._process: Process | None = None
        self._ready = asyncio.Event()
        self._turn = asyncio.Lock()  # one of start, stop, restart at a time: a stop must not be overtaken
        self._watcher: asyncio.Task[None] | None = None
        self._deaths = Deaths()
        self._log_begins = 0
        self._address = f"@agentbus-{os.getpid()}-{os.urandom(4).hex()}"

    @property
    def pid(self) -> int:
        """The running process's id, 0 when there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else 0

    async def start(self, timeout_s: float = 30) -> None:
        """Start and wait for READY.

        Raises:
            ChildFailed: it ended, or was not ready in time.
        """
        async with self._turn:
            await self._start(timeout_s)

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until it says READY. Raises as `start`."""
        deadline = time.monotonic() + timeout_s
        while self.state != "ready":
            if self.state in {"failed", "stopped"}:
                raise ChildFailed(f"{self.command.name} did not start: {self.last_words()}")
            left = deadline - time.monotonic()
            if left <= 0:
                raise ChildFailed(f"{self.command.name} was not ready within {timeout_s:g} s: {self.last_words()}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), min(left, 0.2))

    async def stop(self) -> None:
        """Ask it to end, and kill it when it does not; it is not started again."""
        async with self._turn:
            await self._stop()

    async def restart(self, timeout_s: float = 30) -> None:
        """Stop and start. Raises as `start`."""
        async with self._turn:
            await self._stop()
            await self._start(timeout_s)

    async def _start(self, timeout_s: float = 30) -> None:
        if self.pid:
            return
        self._deaths.forget()
        await self._spawn()
        self._watcher = asyncio.create_task(self._watch())
        await self.wait_ready(timeout_s)

    async def _stop(self) -> None:
        self._set("stopping")
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._end()
        self.status = ""
        self._set("stopped")

    def last_words(self) -> str:
        """The last thing that this run of it wrote to its log, for a message to a person."""
        try:
            with self.command.log.open("rb") as log:
                log.seek(self._log_begins)
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1][-500:] if lines else f"it said nothing; see {self.command.log}"

    async def _spawn(self) -> None:
        self._set("starting")
        self._ready.clear()
        loop = asyncio.get_running_loop()
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        channel.bind("\0" + self._address[1:])
        self.command.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**self.command.environment, "NOTIFY_SOCKET": self._address}
        with self.command.log.open("ab") as log:
            self._log_begins = log.tell()
            process = self._process = await self._begin(self.command, environment, log)
        loop.add_reader(channel.fileno(), self._on_notice, channel)

        async def release() -> None:
            await process.wait()
            loop.remove_reader(channel.fileno())
            channel.close()

        self._release = asyncio.create_task(release())

    def _on_notice(self, channel: socket.socket) -> None:
        try:
            words = channel.recv(4096).decode("utf-8", "replace").splitlines()
        except OSError:
            return
        values = dict(word.split("=", 1) for word in words if "=" in word)
        self.status = values.get("STATUS", self.status)
        if values.get("READY") == "1" and self.state in {"starting", "restarting"}:
            self._set("ready")
            self._ready.set()

    async def _watch(self) -> None:
        while True:
            process = self._process
            if process is None:
                return
            code = await process.wait()
            await self._release
            self.status = f"it ended: {_how(code)}"
            self._ready.clear()  # its successor is not ready yet; whoever waits would turn without end
            if not self._may_restart(code):
                self._set("failed")
                return
            self.restarts += 1
            self._set("restarting")
            await asyncio.sleep(_RESTART_DELAY_S)
            await self._spawn()

    def _may_restart(self, code: int) -> bool:
        return not self._deaths.another_is_too_many() and code != CONFIGURATION_ERROR

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await self._release

    def _set(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._on_change(self)


def _how(code: int) -> str:
    """An exit code for people, with the signal's name where it is one's."""
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"
