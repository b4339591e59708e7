"""The A2A operations of one agent, and the run of a durable task, over whatever answers for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import msgspec
import structlog

from agents.changes import Asking, Changes
from agents.context import Context, InputRequired, NoTask, Work
from agents.runtime.answering import paying
from agents.runtime.answering.answers import Answering
from agents.runtime.extensions import Extensions
from agents.runtime.large import require_keepable
from agents.runtime.messages import decoded, in_a_context, reply_to
from agents.runtime.modes import Modes
from agents.runtime.tasks.durable import DurableTasks, new_record
from agents.runtime.tasks.idempotency import keyed_id, require_same, require_usable
from agents.runtime.tasks.known import KnownTasks, as_it_stands
from agents.runtime.tasks.listing import with_history
from agents.runtime.tasks.push import PushConfigs
from agents.runtime.tasks.runs import Run, Runs, bound, note
from agents.runtime.tasks.schedule import Schedule, refuse_message
from agents.runtime.tasks.waiting import Waiting, refuse_unasked
from bus.audit.emit import Audit
from bus.background import Background
from bus.inbound import Call
from bus.requests import chain, spending
from bus.requests.caller import Caller
from bus.requests.flow import Place, Places
from bus.requests.responder import Operation
from bus.requests.streaming import Stream
from bus.tasks.commands import Command, TaskCommands
from bus.tasks.copies import Update
from bus.tasks.marks import TaskMarks
from bus.tasks.states import StaleTask, TaskBook, TaskRecord
from schemas import a2a, names
from schemas.agent import BudgetLimits
from schemas.errors import (
    A2AError,
    AgentbusError,
    InvalidArgument,
    Unavailable,
    UnsupportedOperation,
)

_log = structlog.get_logger("agent")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the operations work with."""

    agent: str
    card: a2a.AgentCard
    answering: Answering
    book: TaskBook
    commands: TaskCommands
    push: PushConfigs
    schedule: Schedule
    calls: Caller
    marks: TaskMarks
    changes: Changes
    audit: Audit
    places: Places
    task_timeout_s: float
    limits: BudgetLimits


class Operations:
    """Answers requests and runs tasks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._extensions = Extensions(parts.card)
        self._modes = Modes(parts.card)
        self._background = Background()
        self.waiting = Waiting(parts.agent, parts.book, parts.commands, parts.marks, parts.changes, self._run_again)
        self._known = KnownTasks(parts.book, parts.commands, parts.schedule, self.waiting)
        self._runs = Runs(
            parts.book, parts.commands, parts.answering, self._context, self.waiting.begin, parts.task_timeout_s
        )
        self._durable = DurableTasks(parts.book, parts.commands, parts.schedule, self._runs, self._request)

    def table(self) -> Mapping[str, Operation]:
        """Operation name to what serves it: the eleven of A2A."""
        push, known = self._parts.push, self._known
        return {
            "SendMessage": self.send_message,
            "SendStreamingMessage": self.send_streaming_message,
            "GetTask": known.get_task,
            "ListTasks": known.list_tasks,
            "CancelTask": known.cancel_task,
            "SubscribeToTask": known.subscribe_to_task,
            "CreateTaskPushNotificationConfig": push.create,
            "GetTaskPushNotificationConfig": push.get,
            "ListTaskPushNotificationConfigs": push.all_of_task,
            "DeleteTaskPushNotificationConfig": push.delete,
            "GetExtendedAgentCard": self.get_card,
        }

    def activated(self, call: Call) -> frozenset[str]:
        """The extensions that the card lists and the caller declares."""
        return self._extensions.declared(call)

    async def drain(self, timeout_s: float) -> int:
        """Wait for tasks that were answered before they were done; returns how many had to be given up, as failed."""
        unfinished = sum(await asyncio.gather(self._background.drain(timeout_s), self.waiting.drain(timeout_s)))
        await self._parts.book.settle()
        return unfinished

    async def get_card(self, _call: Call) -> a2a.AgentCard:
        """GetExtendedAgentCard."""
        return self._parts.card

    # -- messages ----------------------------------------------------------------------------------------

    async def send_message(self, call: Call) -> a2a.SendMessageResponse:
        """SendMessage: a message for an answer at once, a task where it is asked for or somebody must be waited for."""
        request = self._request(call)
        message, settings = request.message, request.configuration
        if not message.task_id and not settings.return_immediately:
            return await self._answered(call, request)
        record = await self._begun(call, request)
        if not settings.return_immediately:
            await self._until_over(record)
            record = await self._parts.book.require_record(call.caller, record.task.id)
        return a2a.SendMessageResponse(task=with_history(record.task, settings.history_length))

    async def _answered(self, call: Call, request: a2a.SendMessageRequest) -> a2a.SendMessageResponse:
        """A message for an answer; a task where the caller has to be asked first."""
        message, settings = in_a_context(request.message), request.configuration
        with await self._place():
            try:
                parts = await self._parts.answering.answer(self._context(call, message))
            except InputRequired as wanted:
                task = await self._waiting_task(call, message, settings, wanted)
                return a2a.SendMessageResponse(task=with_history(task, settings.history_length))
            except A2AError as error:
                # whoever said so meant its own work, not ours, which has begun
                error.metadata.pop(names.NOTHING_BEGUN_KEY, None)
                raise
        return a2a.SendMessageResponse(message=reply_to(message, parts))

    async def _place(self) -> Place:
        """Room for a handler to work in; raises as `Bulkhead.wait`."""
        work = self._parts.places.work
        return work.take() or await work.wait()

    async def send_streaming_message(self, call: Call) -> Stream:
        """SendStreamingMessage: the task, and then each update until it ends or waits for the caller."""
        request = self._request(call)
        record = await self._begun(call, request)
        first = as_it_stands(record, request.configuration.history_length)
        return Stream(self._from(record, record.event, first), has_begun_work=True)

    async def _from(self, record: TaskRecord, after: int, first: Update) -> AsyncGenerator[Update, None]:
        async with self._parts.book.watch(record.caller, record.task.id) as watch:
            yield first
            async for update in watch.updates(after):
                yield update

    async def _until_over(self, record: TaskRecord) -> None:
        waits = self._parts.places.waits
        with waits.take() or await waits.wait():
            async with self._parts.book.watch(record.caller, record.task.id) as watch:
                async for _ in watch.updates(record.event):
                    pass

    async def _begun(self, call: Call, request: a2a.SendMessageRequest) -> TaskRecord:
        """The task as it was when `message` was given to it; it runs, here or where it ran before."""
        # the request's deadline was for its answer; the work has the agent's own limit
        unhurried = msgspec.structs.replace(call, deadline_ms=None)
        settings = request.configuration
        self._parts.push.require_good(settings)
        if request.message.task_id:
            return await self._followed(unhurried, request.message, settings)
        with await self._place() as place:
            record, is_new = await self._open(call, request.message)
            if not is_new:
                return record
            return await self._beginning(unhurried, record, request.message, settings, place)

    async def _beginning(
        self, call: Call, record: TaskRecord, message: a2a.Message, settings: a2a.SendMessageConfiguration, place: Place
    ) -> TaskRecord:
        """Run a stored task here, with the place of who asked for it; returns it as it is now."""
        await self._parts.push.add_from(call.caller, record.task.id, settings)
        seen = _as_it_is(record)
        self._background.begin(self._unattended(call, record, message, place.handed_on()))
        return seen

    async def _followed(self, call: Call, message: a2a.Message, settings: a2a.SendMessageConfiguration) -> TaskRecord:
        """Give a further message to its task: to the instance that runs it, or to this one when it waits for it."""
        desk = self._parts.places.desk
        with desk.take() or await desk.wait():  # a task that works may wait for this message: it needs no place of work
            record = await self._parts.book.require_record(call.caller, message.task_id)
            message = _fitting(record.task, message)
            if record.task.status.state not in a2a.INTERRUPTED:
                await self._given(record, message)
                await self._parts.push.add_from(call.caller, record.task.id, settings)
                return _as_it_is(record)
        with await self._place() as place:
            await self._parts.book.resume(record)
            record.is_durable = False
            await self._parts.book.save(record, a2a.WORKING, history=(message,))
            return await self._beginning(call, record, record.task.history[0], settings, place)

    async def _given(self, record: TaskRecord, message: a2a.Message) -> None:
        """Hand a message to the instance that runs the task.

        Raises:
            UnsupportedOperation: nobody has begun it. Unavailable: nobody runs it now.
        """
        task = record.task
        if await self._parts.commands.give(record.caller, task.id, Command("message", message)) is None:
            refuse_message(task)
            raise Unavailable(f"task {task.id} is between two workers; try again", retry_after_s="5")

    async def _waiting_task(
        self, call: Call, message: a2a.Message, settings: a2a.SendMessageConfiguration, wanted: InputRequired
    ) -> a2a.Task:
        self._parts.push.require_good(settings)
        record, _ = await self._open(call, message)
        record.task, asked = spending.told_on(record.task), note(record.task, wanted.question, wanted.metadata)
        await self._parts.book.save(record, a2a.INPUT_REQUIRED, message=asked, history=(asked,))
        await self._parts.push.add_from(call.caller, record.task.id, settings)
        return record.task

    # -- tasks -------------------------------------------------------------------------------------------

    async def run_task(self, call: Call, sequence: int, delivered: int) -> None:
        """As `DurableTasks.run`."""
        await self._durable.run(call, sequence, delivered)

    async def _open(self, call: Call, message: a2a.Message) -> tuple[TaskRecord, bool]:
        """A task that is answered before it is done, as submitted; False: the call's key has begun it before."""
        require_keepable(call.payload)
        identity = keyed_id(call) or f"t-{os.urandom(12).hex()}"
        record = new_record(call, identity, message, is_durable=False)
        try:
            await self._parts.book.save(record, a2a.SUBMITTED)
        except StaleTask:
            if not call.idempotency_key:
                raise
            record = await self._parts.book.require_record(call.caller, record.task.id)
            require_same(record.task, message)
            return record, False
        return record, True

    async def _run_again(self, call: Call, record: TaskRecord, message: a2a.Message) -> None:
        with await self._parts.places.work.turn():  # it waits safely where it is
            await self._runs.run(call, record, message)

    async def _unattended(self, call: Call, record: TaskRecord, message: a2a.Message, place: Place) -> None:
        """Run where nothing delivers the task again: whoever looks must find it ended, if at all possible."""
        try:
            with place:
                await self._runs.run(call, record, message)
        except asyncio.CancelledError:
            if not record.is_durable:
                why = note(record.task, "the agent stopped before it was done")
                await self._parts.book.save(record, a2a.FAILED, message=why)
            raise
        except AgentbusError as error:
            _log.error("task.not_finished", task=record.task.id, reason=str(error))

    def _request(self, call: Call) -> a2a.SendMessageRequest:
        """What the caller sends.

        Raises:
            ContentTypeNotSupported, ExtensionSupportRequired, InvalidArgument: it cannot be worked on.
        """
        self._extensions.require(call)
        request = decoded(call.payload)
        self._modes.require(request)
        require_usable(call, request)
        return request

    def _context(self, call: Call, message: a2a.Message, run: Run | None = None) -> Context:
        """What the handler gets; from here on whatever this task asks of others ends with its own time."""
        parts = self._parts
        work: Work = run or NoTask()
        deadline_ms = chain.limit(call, parts.task_timeout_s)
        budget = run.begin_account(parts.limits) if run else paying.begin(parts.limits, call)
        declared = self._extensions.declared(call)
        context_id = run.context_id if run else message.context_id
        asking = Asking(parts.changes, work)
        return Context(
            parts.agent, call.caller, message, deadline_ms, parts.calls, asking, work, context_id, declared, budget
        )


def _as_it_is(record: TaskRecord) -> TaskRecord:
    """The record as it stands, for who follows it: a run moves the other one on."""
    return TaskRecord(record.caller, record.task, revision=0, event=record.event, is_durable=record.is_durable)


def _fitting(task: a2a.Task, message: a2a.Message) -> a2a.Message:
    """A further message as part of its task.

    Raises:
        UnsupportedOperation: the task has ended, or waits for others. InvalidArgument: the message is of another context.
    """
    if task.is_final:
        state = task.status.state.removeprefix("TASK_STATE_").lower()
        raise UnsupportedOperation(f"task {task.id} is {state} and takes no further message")
    refuse_unasked(task)
    if message.context_id not in {"", task.context_id}:
        raise InvalidArgument(f"message.contextId is not that of task {task.id}; leave it out or send the task's")
    return bound(task, message)
