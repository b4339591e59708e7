"""Runs in the guest: asks the agent `trial` and leaves it tasks while its unit is restarted, and counts. Prints JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from pathlib import Path

from agents.people import operator
from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import A2AError, TaskNotFound

HOME = Path("/var/lib/agentbus")
WORKED = HOME / "state/trial/worked"
AGENT = "trial"
_IN_FLIGHT, _REQUEST_MS, _TASK_MS, _AFTERWARDS = 8, 700, 40, 10
_PAUSE_S = 0.02


def _saying(text: str) -> a2a.SendMessageRequest:
    message = a2a.Message(message_id=text.replace(" ", "-"), role="ROLE_USER", parts=(a2a.Part(text=text),))
    return a2a.SendMessageRequest(message=message)


def _lines() -> Counter[str]:
    return Counter(WORKED.read_text().splitlines() if WORKED.exists() else [])


async def _asked(calls: Caller, name: str) -> str:
    try:
        await calls.send_message(AGENT, _saying(f"work {_REQUEST_MS} {name}"), timeout_s=30)
    except A2AError as error:
        return f"{type(error).__name__}: {error}"
    return "answered"


async def _leave(calls: Caller, tasks: dict[str, str], is_over: asyncio.Event) -> None:
    """One task after the other until a few were acknowledged after the restart."""
    afterwards = 0
    while afterwards < _AFTERWARDS:
        name = f"task-{len(tasks)}"
        tasks[await calls.leave_task(AGENT, _saying(f"work {_TASK_MS} {name}"), key=name)] = name
        afterwards += is_over.is_set()
        await asyncio.sleep(_PAUSE_S)


async def _all_began(names: list[str]) -> None:
    while not {f"began {name}" for name in names} <= set(_lines()):
        await asyncio.sleep(0.01)


async def _ended(calls: Caller, task: str) -> str:
    while True:
        with contextlib.suppress(TaskNotFound):  # no instance has taken it yet
            if (found := await calls.get_task(AGENT, task)).is_final:
                return found.status.state
        await asyncio.sleep(0.05)


async def main(*command: str) -> None:
    """Everything, with `command` in the middle of it: what restarts the agent."""
    async with operator(HOME, "") as calls, asyncio.timeout(90):
        names = [f"request-{number}" for number in range(_IN_FLIGHT)]
        requests = [asyncio.create_task(_asked(calls, name)) for name in names]
        tasks: dict[str, str] = {}
        leaving = asyncio.create_task(_leave(calls, tasks, is_over := asyncio.Event()))
        await _all_began(names)
        restart = await asyncio.create_subprocess_exec(*command)
        code = await restart.wait()
        is_over.set()
        said = await asyncio.gather(*requests)
        await leaving
        ends = Counter([await _ended(calls, task) for task in tasks])
    lines = _lines()
    done_once = sum(lines[f"done {name}"] == 1 for name in tasks.values())
    counts = {"command": code, "requests": Counter(said), "tasks": len(tasks), "ends": ends, "done_once": done_once}
    print(json.dumps(counts))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
