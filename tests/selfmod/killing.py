"""kill -9 of the applier at each step of its journal: what it began is finished or taken back by the next one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from approvals.applying.control import ask_supervisor
from approvals.applying.journal import Journal
from bus.surroundings import Home

GOOD_STEPS = ("check", "release", "switch", "restart 0", "commit")
BAD_STEPS = ("check", "release", "switch", "restart 0", "go_back")
_LOOK_S = 0.001


async def kill_at(home: Home, proposal: str, step: str, within_s: float) -> bool:
    """Kill the applier as soon as its journal has `step` of the proposal; whether it came to that."""
    journal = Journal(home.state("applier") / "journal.jsonl")
    deadline = time.monotonic() + within_s
    size = -1
    path = Path(home.state("applier") / "journal.jsonl")
    while time.monotonic() < deadline:
        grown = path.stat().st_size if path.exists() else 0
        if grown != size:
            size = grown
            if any(entry.step == step for entry in journal.of(proposal)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(await _pid(home), signal.SIGKILL)
                return True
        await asyncio.sleep(_LOOK_S)
    return False


async def _pid(home: Home) -> int:
    answer = await ask_supervisor(home.socket, {"command": "status"})
    return next(int(row["pid"]) for row in answer["processes"] if row["name"] == "applier")


async def renewed(home: Home) -> None:
    """Restart the applier in order: a supervisor gives up on what is killed five times in a minute, by design."""
    await ask_supervisor(home.socket, {"command": "restart", "process": "applier"})
