"""Tasks that wait for a decision about a change: looked after, and run again with what became of it.

Every instance looks at all of them, so the one that goes on may be any, after a restart too: a task is claimed
by compare-and-set when it is run. The state AUTH_REQUIRED authorises nothing; people decide, elsewhere.
Guarantees: a task whose proposal has ended is run again within seconds while an instance serves and the approval
service answers, also when the instance that ran it was killed at any point.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import structlog

from agents.changes import Changes
from agents.runtime.tasks.continuation import Continuation, asked_in
from agents.runtime.tasks.runs import note
from approvals.errors import ProposalNotFound
from bus import trace
from bus.background import Background, OnFailure, only_logged, vital
from bus.inbound import Call
from bus.tasks.commands import Command, TaskCommands
from bus.tasks.marks import TaskMarks
from bus.tasks.states import StaleTask, TaskBook, TaskRecord
from schemas import a2a
from schemas.errors import AgentbusError, UnsupportedOperation

_log = structlog.get_logger("agent")
_LOOK_S = 2.0
"""How long a decision may be known before a task goes on."""
_FIND_EVERY = 15
"""So many looks after another all marks are read again: tasks of instances that are gone."""
_MOST_TRIES = 10
"""A task that failed so often in this process for what may pass is ended as failed; each try waits longer, up to:"""
_LONGEST_DELAY_S = 60

Place = tuple[str, str]
"""A task's caller and id."""
RunTask = Callable[[Call, TaskRecord, a2a.Message], Awaitable[None]]


def refuse_unasked(task: a2a.Task) -> None:
    """Return unless the task waits for others than its caller.

    Raises:
        UnsupportedOperation: what its caller says would not be heard.
    """
    if task.status.state == a2a.AUTH_REQUIRED:
        proposal = asked_in(task)[-1].proposal
        raise UnsupportedOperation(
            f"task {task.id} waits for people to decide about {proposal} and takes no message before; wait, or cancel it"
        )


class Waiting:
    """The waiting tasks of one agent, seen by one of its instances."""

    def __init__(
        self, agent: str, book: TaskBook, commands: TaskCommands, marks: TaskMarks, changes: Changes, run: RunTask
    ) -> None:
        self._agent = agent
        self._book = book
        self._commands = commands
        self._marks = marks
        self._changes = changes
        self._run = run
        self._known: set[Place] = set()
        self._going_on: set[Place] = set()
        self._tries: dict[Place, tuple[int, float]] = {}
        """Of runs that failed for what may pass: how many, and before when there is none."""
        self._running = Background()
        self._loop: asyncio.Task[None] | None = None

    def start(self, on_failure: OnFailure = only_logged) -> None:
        """Look after the tasks that wait, those of earlier processes too."""
        self._loop = vital(self._look_forever(), "looking after tasks that wait", on_failure)

    async def drain(self, timeout_s: float) -> int:
        """Take up no more; finish what runs. What is unfinished is taken up by another instance or the next process."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        return await self._running.drain(timeout_s)

    async def begin(self, caller: str, task: str) -> None:
        """Look after a task from now on, whatever happens to this process; raises as `TaskMarks.put`."""
        await self._marks.put(caller, task)
        self._known.add((caller, task))

    def withdraw(self, task: a2a.Task) -> None:
        """Have taken back, beside the rest, what a canceled task has asked for; best effort, what is open also expires."""
        asked = asked_in(task)
        if asked and not asked[-1].problem:
            self._running.begin(self._withdraw(task.id, asked[-1].proposal))

    async def _withdraw(self, task: str, proposal: str) -> None:
        try:
            await self._changes.withdraw(proposal, f"task {task} was canceled by its caller")
        except AgentbusError as error:
            _log.warning("task.proposal_not_withdrawn", task=task, reason=str(error))

    async def _look_forever(self) -> None:
        for looks in itertools.count():
            try:
                if looks % _FIND_EVERY == 0:
                    self._known |= set(await self._marks.all())
            except AgentbusError as error:
                _log.debug("task.marks_not_read", reason=str(error))
            for place in self._known - self._going_on:
                if self._tries.get(place, (0, 0.0))[1] > time.monotonic():
                    continue
                try:
                    await self._look(place)
                except AgentbusError as error:  # the server or the approval service is away: nobody can say now
                    _log.debug("task.wait_goes_on", task=place[1], reason=str(error))
            await asyncio.sleep(_LOOK_S)

    async def _look(self, place: Place) -> None:
        """Run the task again if what it waits for has ended, or if its run was ended in the middle."""
        record = await self._book.find(*place)
        if record is None or record.task.is_final:
            await self._forget(place)
            return
        kept = Continuation.of(record.task)
        if kept is None:
            return  # it is marked, and about to say what for
        state = record.task.status.state
        if state == a2a.WORKING:
            is_due = await self._commands.give(*place, Command("ping")) is None
        else:
            is_due = state == a2a.AUTH_REQUIRED and await self._has_ended(kept.asked[-1].proposal)
        if is_due:
            self._going_on.add(place)
            self._running.begin(self._go_on(place, record, kept))

    async def _has_ended(self, proposal: str) -> bool:
        try:
            return (await self._changes.standing(proposal)).is_final
        except ProposalNotFound:
            return True  # it never arrived: the run asks anew

    async def _go_on(self, place: Place, record: TaskRecord, kept: Continuation) -> None:
        try:
            await self._book.resume(record)
            record.is_durable = True  # what this run leaves unfinished is taken up here, or by another instance
            call = kept.call(self._agent, record.caller)
            with trace.entered(call.trace):
                await self._run(call, record, record.task.history[0])
            self._tries.pop(place, None)
        except StaleTask:
            pass  # another instance has it
        except AgentbusError as error:
            await self._failed(place, record, error)
        finally:
            self._going_on.discard(place)

    async def _failed(self, place: Place, record: TaskRecord, error: AgentbusError) -> None:
        """Have it tried again, ever later; at the end it has failed."""
        _log.warning("task.not_continued", task=record.task.id, reason=str(error))
        tries = self._tries.get(place, (0, 0.0))[0] + 1
        self._tries[place] = tries, time.monotonic() + min(_LONGEST_DELAY_S, 2**tries)
        if tries < _MOST_TRIES:
            return
        why = note(record.task, f"given up after {tries} tries; the last one failed: {error}")
        try:
            await self._book.save(record, a2a.FAILED, message=why)
        except AgentbusError as problem:  # StaleTask too: then it has another end
            _log.warning("task.not_given_up", task=record.task.id, reason=str(problem))

    async def _forget(self, place: Place) -> None:
        await self._marks.drop(*place)
        self._known.discard(place)
        self._tries.pop(place, None)
