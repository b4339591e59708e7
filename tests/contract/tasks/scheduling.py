"""What tests of tasks that are put off share: times, and what they wait for."""

from __future__ import annotations

import datetime
import time

from bus.connection import Connection, Msg
from bus.jetstream import Puller
from bus.tasks.dead_letters import Dead, read_dead_letters
from schemas import a2a, names, subjects
from tests.harness import pulling
from tests.harness.agent import Agent
from tests.harness.fleet import until

VERSION = {"A2A-Version": "1.0"}
SUBJECT = str(subjects.Task("textstats", "ops"))
NEVER_S = 3600.0
"""Later than any test ends."""
WAITS_S = 5.0
"""Far enough away that a machine which stands still for seconds does not make a task due that has to wait first.

Counted from when the agent is there to put it off."""


def soon(seconds: float) -> datetime.datetime:
    """A moment from now."""
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def ms(seconds: float) -> str:
    """The same as a header says it."""
    return str(int((time.time() + seconds) * 1000))


async def letters(connection: Connection, count: int = 1) -> list[Dead]:
    """The dead letters of ops, when there are so many."""

    async def found() -> list[Dead]:
        kept = await read_dead_letters(connection, "ops")
        return kept if len(kept) >= count else []

    return await until(found, timeout_s=20)


async def pull_one(agent: Agent) -> Msg:
    """Take a task as the agent would."""
    (message,) = await pull_some(agent, 1)
    return message


async def pull_some(agent: Agent, count: int) -> list[Msg]:
    """Take so many tasks as the agent would."""
    return await pulling.pull_some(Puller(agent.bus, names.TASKS, agent.id), count)


def said(task: a2a.Task) -> str:
    """What the agent says of it."""
    assert task.status.message is not None
    return task.status.message.text()
