"""Leaving a step as a durable task, once, and waiting for its end, through the deaths of everybody involved.

A step's message has an id made of run, step, round and try, and so does its place in the stream: to leave it again
within two minutes gives the same task. Later than that, and only where this process was killed in the moment between
leaving and writing down which task it was, the agent's own list is looked through for that message first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import chain, repeat

import structlog

from agents.pipeline.journal import Journal, Try
from bus.requests import spending
from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import DeadlineExceeded, TaskNotFound, Unavailable, UnknownOutcome

_log = structlog.get_logger("pipeline")
_SURELY_REMEMBERED_S = 90.0
"""Less than the two minutes for which the stream remembers an id."""
_LOOKING_S = 20.0
"""How long a task that was left may take to be taken up by an agent that is there."""
_PATIENCE_S = 60.0
"""How long the bus may be away while a step is left."""
_POLL_S = 0.25
_WAITS_S = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Between looks at a task, which ask whoever is there: an instance that was killed keeps nobody waiting."""
OnState = Callable[[a2a.Task], None]


class Leaving:
    """The tasks of one run: `name` is the run's, `context` the conversation that all its tasks belong to."""

    def __init__(self, calls: Caller, journal: Journal, name: str) -> None:
        self._calls = calls
        self._journal = journal
        self._name = name
        self.context = f"pipeline-{name}"

    def message_id(self, tried: Try) -> str:
        """What stands for one try of a step, at the agent and in the stream."""
        return f"{self._name}.{tried.step}.{tried.round}.{tried.number}"

    async def left(self, agent: str, tried: Try, message: a2a.Message) -> Try:
        """The try with its task: left now, or found. `tried` is written down already.

        Raises:
            Unavailable, UnknownOutcome: the bus stayed away. A2AError: the task is refused.
        """
        is_old = time.time() - tried.at_s > _SURELY_REMEMBERED_S
        task = await self._found(agent, self.message_id(tried)) if is_old else ""
        return self._journal.left(tried, task or await self._leave(agent, tried, message))

    async def _leave(self, agent: str, tried: Try, message: a2a.Message) -> str:
        request = a2a.SendMessageRequest(message=message)
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                with spending.allotted(fraction=spending.ALL):
                    return await self._calls.leave_task(agent, request, key=self.message_id(tried))
            except (UnknownOutcome, Unavailable) as error:
                if time.monotonic() > until_s:
                    raise
                _log.debug("pipeline.left_again", agent=agent, reason=str(error))
            await asyncio.sleep(_POLL_S)

    async def _found(self, agent: str, message_id: str) -> str:
        """The task that begins with this message, if the agent has taken it up; empty where it surely was not left."""
        until_s = time.monotonic() + _LOOKING_S
        while time.monotonic() < until_s:
            try:
                async with aclosing(self._of_the_run(agent)) as tasks:
                    async for task in tasks:
                        if task.history and task.history[0].message_id == message_id:
                            return task.id
            except (Unavailable, DeadlineExceeded):
                until_s = time.monotonic() + _LOOKING_S  # it can have taken nothing up while it is away
            await asyncio.sleep(_POLL_S)
        return ""

    async def _of_the_run(self, agent: str) -> AsyncGenerator[a2a.Task]:
        token = ""
        while True:
            request = a2a.ListTasksRequest(
                context_id=self.context, page_size=100, history_length=1000, page_token=token
            )
            page = await self._calls.list_tasks(agent, request)
            for task in page.tasks:
                yield task
            token = page.next_page_token
            if not token:
                return

    async def ended(self, agent: str, task: str, on_state: OnState) -> a2a.Task:
        """The task when it has ended, or waits for somebody; however long its agent is away. `on_state` hears of it."""
        for wait_s in chain(_WAITS_S, repeat(_WAITS_S[-1])):
            try:
                found = await self._calls.get_task(agent, task)
            except (TaskNotFound, Unavailable, DeadlineExceeded) as error:
                _log.debug("pipeline.waits", agent=agent, task=task, reason=error.reason)
            else:
                on_state(found)
                if found.is_final or found.status.state in a2a.INTERRUPTED:
                    return found
            await asyncio.sleep(wait_s)
        raise AssertionError
