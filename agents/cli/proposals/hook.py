"""The command of `agentbus proposals watch --exec`: told each news on its standard input, within limits.

What stands in the news comes from agents. So it is never an argument, a variable or a line for a shell, and what the
command says is shown with control characters spelt out, up to a limit. It is the operator's own command otherwise: it
runs with the operator's rights and environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from bus.background import Background
from schemas.errors import InvalidDocument
from schemas.text import harmless

_CHUNK_BYTES = 8192
_LAST_WORDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each run: `time_s`, `output_bytes`. Of all: how many run `at_once`; news beyond `waiting` are not told."""

    time_s: float = 30.0
    output_bytes: int = 16 * 1024
    at_once: int = 4
    waiting: int = 100


class Hook:
    """Runs a command for each news, without a shell."""

    def __init__(self, command: str, limits: Limits = Limits()) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise InvalidDocument(f"--exec cannot be split into words: {error}") from None
        if not self._words:
            raise InvalidDocument("--exec is empty")
        self._limits = limits
        self._places = asyncio.Semaphore(limits.at_once)
        self._running = Background()

    def tell(self, about: str, body: bytes) -> None:
        """Run it, beside the rest; what goes wrong is said on standard error."""
        if len(self._running) >= self._limits.at_once + self._limits.waiting:
            complain(f"{self._words[0]} was not told of {about}: too many are waiting for it")
            return
        self._running.begin(self._run(about, body))

    async def settle(self) -> None:
        """Return when it has been told everything so far."""
        await self._running.settle()

    async def close(self) -> None:
        """Stop what runs, and what it has started."""
        await self._running.drain(0)

    async def _run(self, about: str, body: bytes) -> None:
        async with self._places:
            with tempfile.TemporaryFile() as news:  # not a pipe: who does not read it holds nobody up
                news.write(body)
                news.seek(0)
                ended = await self._ended(news)
            if ended:
                complain(f"{self._words[0]} {ended}, for {about}")

    async def _ended(self, news: IO[bytes]) -> str:
        """Run it once; how it ended where that was not well."""
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=news, stdout=write, stderr=write, start_new_session=True
            )
        except OSError as error:
            os.close(read)
            return f"cannot be run: {error.strerror}"
        finally:
            os.close(write)
        said = bytearray()
        reading = asyncio.create_task(_read(read, said, self._limits.output_bytes))
        try:
            async with asyncio.timeout(self._limits.time_s):
                code = await process.wait()
        except TimeoutError:
            return f"was stopped after {self._limits.time_s:g} s"
        finally:
            await _stop(process)
            await asyncio.wait({reading}, timeout=_LAST_WORDS_S)  # what left its session may hold the pipe for ever
            reading.cancel()
            _show(said, self._limits.output_bytes)
        return "" if code == 0 else f"ended with {code}" if code > 0 else f"was ended by signal {-code}"


async def _read(pipe: int, kept: bytearray, limit: int) -> None:
    """Keep a little more than the limit of what comes; the rest is dropped, so that the writer does not stand still."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb")
    )
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            if len(kept) <= limit:
                kept += chunk
    finally:
        transport.close()


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a command that still runs, and what it has left running; not what has made a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _show(said: bytearray, limit: int) -> None:
    lines = said[:limit].decode("utf-8", "replace").splitlines()
    for line in [*lines, "…"] if len(said) > limit else lines:
        print(harmless(line), file=sys.stderr, flush=True)


def complain(what: str) -> None:
    """One line on standard error."""
    print(f"agentbus: {what}", file=sys.stderr, flush=True)
