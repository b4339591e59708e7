"""Tasks that run in this process: from their message to the state in which they end or wait.

One instance runs a task at a time and alone writes it; what other instances are asked about it (cancel,
another message) reaches the run as a command. Handlers give their answer in pieces, ask the caller, and are
stopped here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import structlog

from agents.changes import Asked, AuthRequired
from agents.context import Context, InputRequired
from agents.llm import Budget
from agents.runtime.answering import paying
from agents.runtime.answering.answers import Answering
from agents.runtime.tasks.continuation import Continuation, asked_in
from bus.errors import AuditUnavailable
from bus.inbound import Call
from bus.requests import chain, spending
from bus.tasks.commands import Command, TaskCommands
from bus.tasks.states import StaleTask, TaskBook, TaskRecord, joined
from schemas import a2a
from schemas.agent import BudgetLimits
from schemas.errors import A2AError, DeadlineExceeded, TaskNotCancelable, UnsupportedOperation
from schemas.ids import ulid
from schemas.usage import Usage

_log = structlog.get_logger("agent")
_STOP_S = 5.0
"""How long a canceled handler may take to end; after it the task is canceled whatever the handler does."""

ContextOf = Callable[[Call, a2a.Message, "Run"], Context]
TakeUpLater = Callable[[str, str], Awaitable[None]]
"""Told, by caller and id, of a task that this agent must take up again by itself; returns when that is sure."""


class _End(NamedTuple):
    """How a run ends: the state, what is said of it, and what of that belongs to the conversation.

    With `error` the task has not ended: it is to be tried again.
    """

    state: a2a.TaskState
    message: a2a.Message | None = None
    history: tuple[a2a.Message, ...] = ()
    error: A2AError | None = None


class Run:
    """One run of one task; what its handler sees as `Context.work`."""

    def __init__(self, call: Call, record: TaskRecord, book: TaskBook, take_up_later: TakeUpLater) -> None:
        self._call = call
        self._record = record
        self._book = book
        self._take_up_later = take_up_later
        self._writing = asyncio.Lock()  # the handler and commands from outside write the same record
        self._messages: asyncio.Queue[a2a.Message] = asyncio.Queue()
        self._answer_id = f"{record.task.id}.1"
        self._has_given = False
        self._account: spending.Account | None = None
        self._when_over: list[Callable[[], Awaitable[None]]] = []
        self.is_canceled = False
        self.handler: asyncio.Task[tuple[a2a.Part, ...]] | None = None

    def begin_account(self, limits: BudgetLimits) -> Budget:
        """What this run may spend, as `paying.begin`; the task tells what it did."""
        earlier = Usage.told_in(self._record.task.metadata)
        budget = paying.begin(limits, self._call, earlier, is_same_call=self._record.is_durable)
        self._account = spending.current()
        return budget

    @property
    def context_id(self) -> str:
        """The conversation that the task belongs to."""
        return self._record.task.context_id

    @property
    def history(self) -> tuple[a2a.Message, ...]:
        """See `Work`."""
        return self._record.task.history

    @property
    def task(self) -> str:
        """See `Work`."""
        return self._record.task.id

    @property
    def asked(self) -> tuple[Asked, ...]:
        """See `Work`."""
        return asked_in(self._record.task)

    @property
    def is_durable(self) -> bool:
        """See `Work`."""
        return self._record.is_durable

    def when_over(self, do: Callable[[], Awaitable[None]]) -> None:
        """See `Work`."""
        self._when_over.append(do)

    async def settle(self) -> None:
        """Do what was left for the end, if this is it."""
        if self._record.task.is_final:
            for do in self._when_over:
                await do()

    async def keep_asked(self, asked: tuple[Asked, ...]) -> None:
        """See `Work`. From here on the task is taken up again wherever it is left."""
        await self._take_up_later(self._record.caller, self.task)
        call = self._call
        kept = Continuation(asked, call.trace.correlation, call.chain, call.extensions, call.budget)
        async with self._writing:
            self._record.task, self._record.is_durable = kept.on(self._record.task), True
            said = note(self._record.task, _told(asked))
            await self._book.save(self._record, a2a.WORKING, message=said)

    async def progress(self, text: str) -> None:
        """See `Work`."""
        await self.save(a2a.WORKING, message=note(self._record.task, text))

    async def give(self, parts: tuple[a2a.Part, ...], *, anew: bool = False) -> None:
        """See `Work`. The first piece of a run takes the place of what an earlier run gave."""
        is_more = self._has_given and not anew
        await self._grow(a2a.Artifact(artifact_id=self._answer_id, parts=parts), append=is_more)
        self._has_given = True

    async def artifact(self, artifact: a2a.Artifact) -> None:
        """See `Work`."""
        await self._grow(artifact, append=False, is_last=True)

    async def next_message(self) -> a2a.Message:
        """See `Work`."""
        return await self._messages.get()

    async def answer(self, parts: tuple[a2a.Part, ...]) -> None:
        """The whole answer, unless it was given in pieces."""
        if not self._has_given:
            await self._grow(a2a.Artifact(artifact_id=self._answer_id, parts=joined(parts)), append=False, is_last=True)

    async def save(
        self, state: a2a.TaskState, *, message: a2a.Message | None = None, history: tuple[a2a.Message, ...] = ()
    ) -> None:
        """As `TaskBook.save`, one after the other."""
        async with self._writing:
            if self._account is not None:
                self._record.task = self._account.on(self._record.task)
            await self._book.save(self._record, state, message=message, history=history)

    async def obey(self, command: Command) -> a2a.Task:
        """What another instance, or this one, was asked about the task."""
        if command.do == "cancel":
            await self._cancel()
        elif command.message is not None:
            await self._hear(command.message)
        return self._record.task

    async def _grow(self, artifact: a2a.Artifact, *, append: bool, is_last: bool = False) -> None:
        task = self._record.task
        update = a2a.TaskArtifactUpdateEvent(
            task_id=task.id, context_id=task.context_id, artifact=artifact, append=append, last_chunk=is_last
        )
        async with self._writing:
            if task.is_final:
                raise StaleTask(f"task {task.id} has ended as {task.status.state}")
            await self._book.grow(self._record, update)

    async def _cancel(self) -> None:
        self.is_canceled = True
        if self.handler is not None:
            self.handler.cancel()
            await asyncio.wait({self.handler}, timeout=_STOP_S)
        await self.end_as_canceled()
        if self._record.task.status.state != a2a.CANCELED:
            raise TaskNotCancelable(f"task {self._record.task.id} has ended already")

    async def end_as_canceled(self) -> None:
        """Store that it was canceled, unless it has ended: the command and the run both come here."""
        async with self._writing:
            if not self._record.task.is_final:
                why = note(self._record.task, "canceled by the caller")
                await self._book.save(self._record, a2a.CANCELED, message=why)

    async def _hear(self, message: a2a.Message) -> None:
        task = self._record.task
        if task.is_final:
            raise UnsupportedOperation(f"task {task.id} has ended and takes no further message")
        await self.save(task.status.state, message=task.status.message, history=(message,))
        self._messages.put_nowait(message)


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs tasks with an agent's way of answering. `limit_s` is the longest that one may take."""

    book: TaskBook
    commands: TaskCommands
    answering: Answering
    context_of: ContextOf
    take_up_later: TakeUpLater
    limit_s: float

    async def run(self, call: Call, record: TaskRecord, message: a2a.Message) -> None:
        """Answer `message`, and store how the task ended or what it waits for.

        Raises:
            A2AError: a durable task failed for a reason that may pass; run it again.
            AgentbusError: the state could not be stored, or the trail takes nothing. That is no failure of the task:
                it may be run again.
        """
        chain.enter(call)
        run = Run(call, record, self.book, self.take_up_later)
        listening = await self.commands.listen(record.caller, record.task.id, run.obey)
        try:
            # The claim, each time and with nothing awaited between it and the handler: after a server restart the
            # stream may give a task to two workers, and the one whose record is old must not begin.
            await run.save(a2a.WORKING)
            end = await self._end_of(call, run, record, message)
            if end is None:
                await run.end_as_canceled()
            else:
                await run.save(end.state, message=end.message, history=end.history)
                if end.error is not None:
                    raise end.error
            await run.settle()
        finally:
            self.commands.forget(listening)

    async def _end_of(self, call: Call, run: Run, record: TaskRecord, message: a2a.Message) -> _End | None:
        """How it ended; None when it was canceled, which is stored already or about to be."""
        limit = asyncio.timeout(None)
        task = record.task
        try:
            limit = asyncio.timeout(self._limit_s(call))
            run.handler = asyncio.create_task(self.answering.answer(self.context_of(call, message, run)))
            async with limit:
                parts = await run.handler
            await run.answer(parts)
        except asyncio.CancelledError:
            if not run.is_canceled:
                raise
            return None
        except (InputRequired, AuthRequired) as wanted:
            return _wait(task, wanted)
        except A2AError as error:
            return self._refused(call, record, error)
        except StaleTask:
            raise
        except Exception as error:  # noqa: BLE001  the process's message boundary for tasks, as the responder is for requests
            return _failed(record, error, is_late=limit.expired())
        return _End(a2a.COMPLETED)

    def _refused(self, call: Call, record: TaskRecord, error: A2AError) -> _End:
        task, has_time = record.task, call.deadline_ms is None or call.deadline_ms / 1000 > time.time()
        if record.is_durable and error.retryable and has_time:
            return _End(a2a.WORKING, note(task, f"it will be tried again: {error}"), error=error)
        return _End(a2a.REJECTED if error.fault == "caller" else a2a.FAILED, note(task, str(error)))

    def _limit_s(self, call: Call) -> float:
        if call.deadline_ms is None:
            return self.limit_s
        left_s = call.deadline_ms / 1000 - time.time()
        if left_s <= 0:
            raise DeadlineExceeded("the task's deadline passed before it could be started")
        return min(self.limit_s, left_s)


def _told(asked: tuple[Asked, ...]) -> str:
    """What a caller hears of it."""
    running = [one.proposal for one in asked if one.stage == "begun"]
    if running:
        return f"runs what people have allowed, {running[-1]}"
    last = asked[-1]
    if last.stage:
        return "goes on"
    return f"asks people, {last.proposal}"


def _wait(task: a2a.Task, wanted: InputRequired | AuthRequired) -> _End:
    if isinstance(wanted, InputRequired):
        question = note(task, wanted.question, wanted.metadata)
        return _End(a2a.INPUT_REQUIRED, question, (question,))
    return _End(a2a.AUTH_REQUIRED, note(task, str(wanted)))  # no turn of the conversation: its caller is not asked


def note(task: a2a.Task, text: str, metadata: a2a.JsonObject | None = None) -> a2a.Message:
    """What the agent says of a task."""
    return a2a.Message(
        message_id=ulid(time.time_ns(), os.urandom(10)), role="ROLE_AGENT", task_id=task.id,
        context_id=task.context_id, parts=(a2a.Part(text=text),), metadata=metadata or {},
    )  # fmt: skip


def bound(task: a2a.Task, message: a2a.Message) -> a2a.Message:
    """The caller's message as part of the task."""
    return msgspec.structs.replace(message, task_id=task.id, context_id=task.context_id)


def _failed(record: TaskRecord, error: Exception, *, is_late: bool) -> _End:
    """How a task ends whose handler raised `error`.

    Raises:
        AuditUnavailable: it does not end; it is delivered again, when there may be room for what it does.
    """
    task = record.task
    if isinstance(error, AuditUnavailable):
        if record.is_durable:
            raise error
        return _End(a2a.FAILED, note(task, f"the audit trail cannot be written: {error}"))
    if isinstance(error, TimeoutError) and is_late:
        return _End(a2a.FAILED, note(task, "the task ran out of time"))
    _log.error("task.handler_failed", task=task.id, exc_info=error)
    return _End(a2a.FAILED, note(task, "the agent failed; its log says why"))
