"""`agentbus proposals watch`: a line for each change of a proposal's state, and a command that is told of it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from agents.cli.proposals.hook import Hook, complain
from agents.cli.proposals.pages import news
from agents.cli.run import log_quietly, run_async
from agents.cli.shown import told_plainly
from agents.people import own_operator
from approvals.reviewing.desk import ProposalDesk
from bus.connection import Connection
from schemas import subjects
from schemas.approvals import Standing
from schemas.errors import AgentbusError
from schemas.ids import rfc3339
from schemas.text import harmless

_LOOK_S = 5.0
"""What no message told of, the end of a rollback for example, is seen after so long."""


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
            complain(f"{harmless(str(error))}; watching on")
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
