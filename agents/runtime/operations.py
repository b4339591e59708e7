"""The A2A operations of one agent, and the run of a durable task, over whatever answers for it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import msgspec
import structlog

from agents.context import Context, InputRequired, NoTask, Propose, Work
from agents.runtime.answers import Answering
from agents.runtime.extensions import Extensions
from agents.runtime.listing import page_of, with_history
from agents.runtime.push import PushConfigs
from agents.runtime.runs import Run, Runs, bound, note
from bus import chain
from bus.audit.emit import Audit
from bus.background import Background
from bus.caller import Caller
from bus.dead_letters import GivenUp
from bus.inbound import Call
from bus.responder import Operation
from bus.streaming import Stream
from bus.task_commands import Command, TaskCommands
from bus.task_log import Update
from bus.tasks import TaskBook, TaskRecord
from schemas import a2a, protojson
from schemas.errors import (
    A2AError,
    AgentbusError,
    ExtensionSupportRequired,
    InvalidArgument,
    LoopDetected,
    TaskNotCancelable,
    Unavailable,
    UnsupportedOperation,
)
from schemas.ids import task_id

_log = structlog.get_logger("agent")
MAX_DELIVERIES = 10
"""A task that ended this many workers, or could not be recorded this often, is ended as failed."""
_GIVEN_UP = f"given up after {MAX_DELIVERIES} deliveries, none of which came to an end; the agent's log says why"
_RUN, _NUMBERS = os.urandom(8).hex(), itertools.count(1)
"""What ids of answers are made of: this process, and a number."""
_LOST = "the instance that ran it has ended"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the operations work with."""

    agent: str
    card: a2a.AgentCard
    answering: Answering
    book: TaskBook
    commands: TaskCommands
    push: PushConfigs
    calls: Caller
    propose: Propose
    audit: Audit
    task_timeout_s: float


class Operations:
    """Answers requests and runs tasks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._extensions = Extensions(parts.card)
        self._background = Background()
        self._runs = Runs(parts.book, parts.commands, parts.answering, self._context, parts.task_timeout_s)

    def table(self) -> Mapping[str, Operation]:
        """Operation name to what serves it: the eleven of A2A."""
        push = self._parts.push
        return {
            "SendMessage": self.send_message,
            "SendStreamingMessage": self.send_streaming_message,
            "GetTask": self.get_task,
            "ListTasks": self.list_tasks,
            "CancelTask": self.cancel_task,
            "SubscribeToTask": self.subscribe_to_task,
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
        unfinished = await self._background.drain(timeout_s)
        await self._parts.book.settle()
        return unfinished

    async def get_card(self, _call: Call) -> a2a.AgentCard:
        """GetExtendedAgentCard."""
        return self._parts.card

    # -- reading -----------------------------------------------------------------------------------------

    async def get_task(self, call: Call) -> a2a.Task:
        """GetTask: the caller's own task only."""
        request = protojson.decode(call.payload or b"{}", a2a.GetTaskRequest)
        record = await self._parts.book.require_record(call.caller, request.id)
        task = await self._ended_if_lost(record)
        return with_history(task, request.history_length)

    async def list_tasks(self, call: Call) -> a2a.ListTasksResponse:
        """ListTasks: the caller's own, the one that changed last first."""
        request = protojson.decode(call.payload or b"{}", a2a.ListTasksRequest)
        return page_of(await self._parts.book.all_of(call.caller), request)

    async def subscribe_to_task(self, call: Call) -> Stream:
        """SubscribeToTask: the task and then its updates; only the updates after the one that the caller names."""
        request = protojson.decode(call.payload or b"{}", a2a.SubscribeToTaskRequest)
        record = await self._parts.book.require_record(call.caller, request.id)
        task = await self._ended_if_lost(record)
        if task.is_final and call.last_event is None:
            raise UnsupportedOperation(f"task {task.id} has ended; read it with GetTask")
        return Stream(self._updates(record.caller, task.id, call.last_event))

    async def _updates(self, caller: str, task: str, after: int | None) -> AsyncGenerator[Update, None]:
        async with self._parts.book.watch(caller, task) as watch:
            if after is None:
                record = await self._parts.book.require_record(caller, task)
                after = record.event
                yield _first(record)
                if _is_over(record.task):
                    return
            async for update in watch.updates(after):
                yield update

    async def _ended_if_lost(self, record: TaskRecord) -> a2a.Task:
        """The task; failed where it stands at work that nobody does and nothing will begin again."""
        task = record.task
        if record.is_durable or _is_over(task):
            return task
        alive = await self._parts.commands.give(record.caller, task.id, Command("ping"))
        if alive is not None:
            return task
        return await self._parts.book.amend(record.caller, task.id, self._lost)

    def _lost(self, task: a2a.Task) -> a2a.Task:
        return task if _is_over(task) else self._moved(task, a2a.FAILED, _LOST)

    # -- messages ----------------------------------------------------------------------------------------

    async def send_message(self, call: Call) -> a2a.SendMessageResponse:
        """SendMessage: a message for an answer at once, a task where it is asked for or somebody must be waited for."""
        request = self._request(call)
        message, settings = request.message, request.configuration
        if not message.task_id and not settings.return_immediately:
            try:
                parts = await self._parts.answering.answer(self._context(call, message))
            except InputRequired as wanted:
                task = await self._waiting_task(call, message, wanted.question)
                return a2a.SendMessageResponse(task=with_history(task, settings.history_length))
            return a2a.SendMessageResponse(message=self._reply(message, parts))
        record = await self._begun(call, request)
        if not settings.return_immediately:
            await self._until_over(record)
            record = await self._parts.book.require_record(call.caller, record.task.id)
        return a2a.SendMessageResponse(task=with_history(record.task, settings.history_length))

    async def send_streaming_message(self, call: Call) -> Stream:
        """SendStreamingMessage: the task, and then each update until it ends or waits for the caller."""
        request = self._request(call)
        record = await self._begun(call, request)
        first = _first(record, request.configuration.history_length)
        return Stream(self._from(record, record.event, first), has_begun_work=True)

    async def _from(self, record: TaskRecord, after: int, first: Update) -> AsyncGenerator[Update, None]:
        async with self._parts.book.watch(record.caller, record.task.id) as watch:
            yield first
            async for update in watch.updates(after):
                yield update

    async def _until_over(self, record: TaskRecord) -> None:
        async with self._parts.book.watch(record.caller, record.task.id) as watch:
            async for _ in watch.updates(record.event):
                pass

    async def _begun(self, call: Call, request: a2a.SendMessageRequest) -> TaskRecord:
        """The task as it was when `message` was given to it; it runs, here or where it ran before."""
        message = request.message
        # the request's deadline was for its answer; the work has the agent's own limit
        unhurried = msgspec.structs.replace(call, deadline_ms=None)
        if message.task_id:
            record, message, is_here = await self._followed(call.caller, message)
        else:
            record = await self._open(call, message)
            is_here = True
        await self._parts.push.add_from(call.caller, record.task.id, request.configuration)
        seen = TaskRecord(record.caller, record.task, revision=0, event=record.event, is_durable=record.is_durable)
        if is_here:
            self._background.begin(self._unattended(unhurried, record, message))
        return seen

    async def _followed(self, caller: str, message: a2a.Message) -> tuple[TaskRecord, a2a.Message, bool]:
        """Give a further message to its task: to the instance that runs it, or to this one when it waits for it."""
        record = await self._parts.book.require_record(caller, message.task_id)
        task = record.task
        if task.is_final:
            state = task.status.state.removeprefix("TASK_STATE_").lower()
            raise UnsupportedOperation(f"task {task.id} is {state} and takes no further message")
        if message.context_id not in {"", task.context_id}:
            raise InvalidArgument(f"message.contextId is not that of task {task.id}; leave it out or send the task's")
        message = bound(task, message)
        if task.status.state not in a2a.INTERRUPTED:
            if await self._parts.commands.give(caller, task.id, Command("message", message)) is not None:
                return record, message, False
            raise Unavailable(f"task {task.id} is between two workers; try again", retry_after_s="5")
        await self._parts.book.resume(record)
        record.is_durable = False
        await self._parts.book.save(record, a2a.WORKING, history=(message,))
        return record, task.history[0], True

    async def _waiting_task(self, call: Call, message: a2a.Message, question: str) -> a2a.Task:
        record = await self._open(call, message)
        asked = note(record.task, question)
        await self._parts.book.save(record, a2a.INPUT_REQUIRED, message=asked, history=(asked,))
        return record.task

    # -- tasks -------------------------------------------------------------------------------------------

    async def cancel_task(self, call: Call) -> a2a.Task:
        """CancelTask: stops the work wherever it runs; canceling again changes nothing."""
        request = protojson.decode(call.payload or b"{}", a2a.CancelTaskRequest)
        task = await self._parts.book.get(call.caller, request.id)
        if not task.is_final:
            stopped = await self._parts.commands.give(call.caller, task.id, Command("cancel"))
            if stopped is not None:
                return stopped
        return await self._parts.book.amend(call.caller, task.id, self._canceled)

    def _canceled(self, task: a2a.Task) -> a2a.Task:
        if task.status.state == a2a.CANCELED:
            return task
        if task.is_final:
            raise TaskNotCancelable(f"task {task.id} has ended already")
        return self._moved(task, a2a.CANCELED, "canceled by the caller")

    def _moved(self, task: a2a.Task, state: a2a.TaskState, why: str) -> a2a.Task:
        status = a2a.TaskStatus(state=state, message=note(task, why), timestamp=self._parts.book.stamp())
        return msgspec.structs.replace(task, status=status)

    async def run_task(self, call: Call, sequence: int, delivered: int) -> None:
        """Bring the durable task with this stream sequence to where it ends or waits, unless it is there already.

        Raises:
            GivenUp: it ended because it was delivered too often, or cannot be read.
            AgentbusError: deliver it again.
        """
        identity = task_id(sequence)
        # The first delivery has no record; if there is one after all, the claim fails, and the second one finds it.
        record = await self._parts.book.find(call.caller, identity) if delivered > 1 else None
        if record is not None and _is_over(record.task):
            self._parts.book.found(record)
            if why := _given_up(record.task):
                raise GivenUp(why)  # the worker that ended it may have died before it kept the dead letter
            return  # effects happen once
        try:
            chain.refuse_loop(call)
            message = self._request(call).message
            if message.task_id:
                raise InvalidArgument("a durable task begins a task; send a further message to a task with SendMessage")
        except (ExtensionSupportRequired, InvalidArgument, LoopDetected) as error:
            await self._reject(call, record, identity, error)
            raise GivenUp(str(error)) from None
        if record is None:
            record = self._new(call, identity, message, is_durable=True)
        else:
            await self._take_over(record)
        if delivered > MAX_DELIVERIES:
            await self._parts.book.save(record, a2a.FAILED, message=note(record.task, _GIVEN_UP))
            raise GivenUp(_GIVEN_UP)
        await self._runs.run(call, record, message)

    async def _take_over(self, record: TaskRecord) -> None:
        """Go on from another delivery's record.

        Raises:
            Unavailable: that delivery still runs at another instance.
        """
        if await self._parts.commands.give(record.caller, record.task.id, Command("ping")) is not None:
            raise Unavailable(f"task {record.task.id} still runs at another instance")
        await self._parts.book.resume(record)

    async def _open(self, call: Call, message: a2a.Message) -> TaskRecord:
        """A task that is answered before it is done, as submitted."""
        record = self._new(call, f"t-{os.urandom(12).hex()}", message, is_durable=False)
        await self._parts.book.save(record, a2a.SUBMITTED)
        return record

    def _new(self, call: Call, identity: str, message: a2a.Message, *, is_durable: bool) -> TaskRecord:
        """A task that is not stored yet: its first `save` makes it, unless the id is taken."""
        context = message.context_id or f"c-{os.urandom(12).hex()}"
        status = a2a.TaskStatus(state=a2a.SUBMITTED)
        empty = a2a.Task(id=identity, context_id=context, status=status)
        task = a2a.Task(id=identity, context_id=context, status=status, history=(bound(empty, message),))
        return TaskRecord(call.caller, task, revision=0, event=0, is_durable=is_durable)

    async def _unattended(self, call: Call, record: TaskRecord, message: a2a.Message) -> None:
        """Run where nothing delivers the task again: whoever looks must find it ended, if at all possible."""
        try:
            await self._runs.run(call, record, message)
        except asyncio.CancelledError:
            why = note(record.task, "the agent stopped before it was done")
            await self._parts.book.save(record, a2a.FAILED, message=why)
            raise
        except AgentbusError as error:
            _log.error("task.not_finished", task=record.task.id, reason=str(error))

    async def _reject(self, call: Call, record: TaskRecord | None, identity: str, error: A2AError) -> None:
        if record is None:
            placeholder = a2a.Message(message_id=identity, role="ROLE_USER", parts=())
            record = self._new(call, identity, placeholder, is_durable=True)
        await self._parts.book.save(record, a2a.REJECTED, message=note(record.task, str(error)))

    def _request(self, call: Call) -> a2a.SendMessageRequest:
        """What the caller sends.

        Raises:
            ExtensionSupportRequired, InvalidArgument: it cannot be worked on.
        """
        self._extensions.require(call)
        return _decoded(call.payload)

    def _context(self, call: Call, message: a2a.Message, run: Run | None = None) -> Context:
        """What the handler gets; from here on whatever this task asks of others ends with its own time."""
        parts = self._parts
        work: Work = run or NoTask()
        deadline_ms = chain.limit(call, parts.task_timeout_s)
        declared = self._extensions.declared(call)
        return Context(parts.agent, call.caller, message, deadline_ms, parts.calls, parts.propose, work, declared)

    def _reply(self, message: a2a.Message, parts: tuple[a2a.Part, ...]) -> a2a.Message:
        identity = f"{_RUN}-{next(_NUMBERS)}"
        context = message.context_id or f"c-{identity}"
        return a2a.Message(message_id=identity, role="ROLE_AGENT", parts=parts, context_id=context)


def _decoded(payload: bytes) -> a2a.SendMessageRequest:
    request = protojson.decode(payload, a2a.SendMessageRequest)
    if request.message.role != "ROLE_USER":
        raise InvalidArgument("message.role must be ROLE_USER in a request")
    if not request.message.parts:
        raise InvalidArgument("message.parts is empty")
    return request


def _is_over(task: a2a.Task) -> bool:
    """Nothing will happen to it by itself."""
    return task.is_final or task.status.state in a2a.INTERRUPTED


def _given_up(task: a2a.Task) -> str:
    """Why the task's message is a dead letter; empty when it is none: its handler had its say."""
    said = task.status.message.text() if task.status.message else ""
    was_unreadable = task.status.state == a2a.REJECTED and not any(message.parts for message in task.history)
    return said if said == _GIVEN_UP or was_unreadable else ""


def _first(record: TaskRecord, history_length: int | None = None) -> Update:
    task = with_history(record.task, history_length)
    return Update(record.event, protojson.encode(a2a.StreamResponse(task=task)))
