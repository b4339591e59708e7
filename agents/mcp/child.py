"""A server as a child process: its own session, an environment of its own, its standard error in our log, its end.

However the agent ends, the child does: in order (its standard input ends, then SIGTERM, then SIGKILL, to everything in
its session), or by the kernel when the agent is killed. What the child started and moved to another session is not
found.

Source: MCP 2025-11-25, Lifecycle, Shutdown (stdio); prctl(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from typing import Final

import structlog

from .config import Command
from .errors import McpUnusable
from .problems import shown_safely

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""Of a message; a server that sends a longer one is ended."""
GRACE_S: Final = 2.0
"""How long a child may take to end by itself, and then again after SIGTERM."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_CHUNK, _LINES_SHOWN, _WINDOW_S = 64 * 1024, 50, 10.0

_log = structlog.get_logger("mcp")


async def started(name: str, command: Command) -> Child:
    """Start the child of the server `name`; `Child.end` must follow.

    Raises:
        McpUnusable: it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command.argv, cwd=command.folder, env=dict(command.environment), limit=MAX_LINE_BYTES,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise McpUnusable(f"mcp.{name}: cannot be started: {getattr(error, 'strerror', None) or error}") from None
    return Child(name, process)


class Child:
    """A running child. `stdin` and `stdout` are for whoever speaks with it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise TypeError("a child has pipes")
        self.pid = process.pid
        self.stdin, self.stdout = process.stdin, process.stdout
        self.last_words = ""
        self._name = name
        self._process = process
        self._listening = asyncio.create_task(self._listen(process.stderr), name=f"standard error of {name}")

    async def end(self) -> None:
        """Ask it to end, and see to it that it does. Nobody else may read its output any more."""
        draining = asyncio.create_task(self._drain())  # one that cannot write does not get to its end
        with contextlib.suppress(OSError, RuntimeError):  # uvloop: RuntimeError where the pipe is closed already
            self.stdin.close()
        if not await self._has_ended():
            self._signal(signal.SIGTERM)
            await self._has_ended()
        self._signal(signal.SIGKILL)  # what it started itself may be left
        if not await self._has_ended():
            _log.warning("mcp.child_left", server=self._name, pid=self.pid)
        await asyncio.wait({self._listening, draining}, timeout=GRACE_S)  # its last words
        for task in (self._listening, draining):
            task.cancel()
        await asyncio.gather(self._listening, draining, return_exceptions=True)
        self._let_go()

    async def _drain(self) -> None:
        while await self.stdout.read(_CHUNK):
            pass

    def _let_go(self) -> None:
        """Close our ends of pipes whose other ends somebody may still hold; asyncio has no public way to."""
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()

    async def _has_ended(self) -> bool:
        try:
            await asyncio.wait_for(self._process.wait(), GRACE_S)
        except TimeoutError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        """Its standard error, a line of our log each; a flood of them is cut."""
        shown, since = 0, time.monotonic()
        while True:
            try:
                line = await stderr.readline()
            except ValueError:  # a line over the limit: what is there of it is gone
                continue
            if not line:
                return
            self.last_words = shown_safely(line.decode("utf-8", "replace")) or self.last_words
            if time.monotonic() - since > _WINDOW_S:
                shown, since = 0, time.monotonic()
            shown += 1
            if shown <= _LINES_SHOWN:
                _log.info("mcp.server_said", server=self._name, pid=self.pid, text=self.last_words)
            elif shown == _LINES_SHOWN + 1:
                _log.warning("mcp.server_says_too_much", server=self._name, pid=self.pid)


def _end_with_parent() -> None:
    """Between fork and exec. A parent that was killed cannot ask it to end, so the kernel kills it."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
