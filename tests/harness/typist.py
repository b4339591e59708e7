"""A command at a real terminal, typed at and read by a test.

async with typing("chat", "greeter", "--home", home) as typist:
    await typist.sees("> ")
    typist.types("hello\\n")
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.fleet import CHECKOUT

CTRL_C, CTRL_D = "\x03", "\x04"
_PATIENCE_S = 30


class Typist:
    """Who sits at the terminal."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._unread = ""
        self.seen = ""
        """All that was on the screen."""

    async def sees(self, text: str) -> str:
        """Wait until `text` is on the screen, behind what was seen before; returns what stood in front of it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE_S):
            while text not in self._unread:
                data = await self._process.stdout.read(4096)
                assert data, f"{text!r} did not come: {self.seen[-2000:]}"
                self._unread += data.decode()
                self.seen += data.decode()
        before, _, self._unread = self._unread.partition(text)
        return before

    def types(self, text: str) -> None:
        """Press keys."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())

    async def code(self) -> int:
        """The exit code, once it has ended."""
        rest, _ = await asyncio.wait_for(self._process.communicate(), _PATIENCE_S)
        self.seen += rest.decode()
        assert self._process.returncode is not None
        return self._process.returncode


@asynccontextmanager
async def typing(*arguments: str | Path) -> AsyncIterator[Typist]:
    """`agentbus …` at a terminal of its own; it is ended when the test is over."""
    # exec: a shell that waits in between may answer Ctrl-C itself, and its code would be seen (dash does, bash does not).
    command = "exec " + shlex.join([sys.executable, "-m", "agents.cli", *map(str, arguments)])
    process = await asyncio.create_subprocess_exec(
        "script", "--quiet", "--return", "--command", command, "/dev/null", stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, cwd=CHECKOUT,
        env={**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, "TERM": "xterm"},
    )  # fmt: skip
    try:
        yield Typist(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
