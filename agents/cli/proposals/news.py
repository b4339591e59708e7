"""`agentbus proposals watch`: a line for each change of a proposal's state, and a command that is told of it."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from agents.cli.people import own_operator
from agents.cli.proposals.pages import news
from agents.cli.run import log_quietly, run_async
from agents.cli.shown import told_plainly
from approvals.reviewing.desk import ProposalDesk
from bus.background import Background
from bus.connection import Connection
from schemas import subjects
from schemas.approvals import Standing
from schemas.errors import AgentbusError, InvalidDocument
from schemas.ids import rfc3339
from schemas.text import harmless

_LOOK_S = 5.0
"""What no message told of, the end of a rollback for example, is seen after so long."""
_HOOK_S = 30.0
_HOOKS_AT_ONCE = 4
_HOOKS_WAITING = 100
"""News beyond these are printed, and the command is not told."""


class Hook:
    """Runs a command for each news: without a shell, the news on its standard input, its output on standard error."""

    def __init__(self, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise InvalidDocument(f"--exec cannot be split into words: {error}") from None
        if not self._words:
            raise InvalidDocument("--exec is empty")
        self._places = asyncio.Semaphore(_HOOKS_AT_ONCE)
        self._running = Background()

    def tell(self, proposal: str, body: bytes) -> None:
        """Run it, beside the rest; what goes wrong is said on standard error."""
        if len(self._running) >= _HOOKS_AT_ONCE + _HOOKS_WAITING:
            _complain(f"{self._words[0]} was not told of {proposal}: too many are waiting for it")
            return
        self._running.begin(self._run(proposal, body))

    async def close(self) -> None:
        """Stop what runs."""
        await self._running.drain(0)

    async def _run(self, proposal: str, body: bytes) -> None:
        async with self._places:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._words, stdin=asyncio.subprocess.PIPE, stdout=sys.stderr, start_new_session=True
                )
            except OSError as error:
                _complain(f"{self._words[0]} cannot be run: {error.strerror}")
                return
            try:
                async with asyncio.timeout(_HOOK_S):
                    await process.communicate(body)
            except TimeoutError:
                _complain(f"{self._words[0]} was stopped after {_HOOK_S:g} s, for {proposal}")
            finally:
                await _stop(process)
            if process.returncode and process.returncode > 0:
                _complain(f"{self._words[0]} ended with {process.returncode}, for {proposal}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a command that still runs, and what it has started."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def watch(home: Path, caller: str, command: str, *, as_json: bool) -> None:
    """Print news until the process is stopped; what stands before that is none."""
    log_quietly()

    async def main() -> None:
        hook = Hook(command) if command else None
        async with own_operator(home, caller) as (connection, operator):
            try:
                await _follow(connection, ProposalDesk(connection, operator), lambda one: _tell(one, hook, as_json))
            finally:
                if hook:
                    await hook.close()

    run_async(told_plainly(main()))


async def _follow(connection: Connection, desk: ProposalDesk, tell: Callable[[Standing], None]) -> None:
    """Look whenever there is a message, and every few seconds; messages carry no authority, so none is believed."""
    woken = asyncio.Event()
    await connection.subscribe(subjects.Notify.pattern(), lambda _: woken.set())
    known = {one.proposal: one.state for one in await desk.all(everything=True)}
    print("watching; Ctrl-C ends it", file=sys.stderr, flush=True)
    while True:
        try:
            async with asyncio.timeout(_LOOK_S):
                await woken.wait()
        except TimeoutError:
            pass
        woken.clear()
        try:
            found = await desk.all(everything=True)
        except AgentbusError as error:
            _complain(f"{harmless(str(error))}; watching on")
            await asyncio.sleep(_LOOK_S)
            continue
        for one in reversed(found):
            if known.get(one.proposal) != one.state:
                known[one.proposal] = one.state
                tell(one)


def _tell(one: Standing, hook: Hook | None, as_json: bool) -> None:  # noqa: FBT001  bound where it is passed on
    now_ns = time.time_ns()
    body = msgspec.json.encode({"at": rfc3339(now_ns), **msgspec.to_builtins(one)})
    print(body.decode() if as_json else news(one, now_ns), flush=True)
    if hook:
        hook.tell(one.proposal, body + b"\n")


def _complain(what: str) -> None:
    print(f"agentbus: {what}", file=sys.stderr, flush=True)
