"""The A2A operations of one agent, and the run of a durable task, over whatever answers for it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import structlog

from agents.context import Context, Propose
from agents.runtime.answers import Answering
from bus.audit.emit import Audit
from bus.background import Background
from bus.caller import Caller
from bus.inbound import Call
from bus.responder import Operation
from bus.tasks import StaleTask, TaskBook, TaskRecord
from schemas import a2a, protojson
from schemas.errors import A2AError, AgentbusError, DeadlineExceeded, InvalidArgument, UnsupportedOperation
from schemas.ids import rfc3339, task_id, ulid

_log = structlog.get_logger("agent")
MAX_DELIVERIES = 10
"""A task that ended this many workers, or could not be recorded this often, is ended as failed."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the operations work with."""

    agent: str
    card: a2a.AgentCard
    answering: Answering
    book: TaskBook
    calls: Caller
    propose: Propose
    audit: Audit
    task_timeout_s: float


class _End(NamedTuple):
    """How a task ends."""

    state: a2a.TaskState
    message: a2a.Message | None = None
    artifacts: tuple[a2a.Artifact, ...] = ()


class Operations:
    """Answers requests and runs tasks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._background = Background()

    def table(self) -> Mapping[str, Operation]:
        """Operation name to what serves it."""
        return {
            "SendMessage": self.send_message,
            "GetTask": self.get_task,
            "GetExtendedAgentCard": self.get_card,
        }

    async def drain(self, timeout_s: float) -> int:
        """Wait for tasks that were answered before they were done; returns how many had to be given up, as failed."""
        return await self._background.drain(timeout_s)

    async def get_card(self, _call: Call) -> a2a.AgentCard:
        """GetExtendedAgentCard."""
        return self._parts.card

    async def get_task(self, call: Call) -> a2a.Task:
        """GetTask: the caller's own task only."""
        request = protojson.decode(call.payload or b"{}", a2a.GetTaskRequest)
        task = await self._parts.book.get(call.caller, request.id)
        return _with_history(task, request.history_length)

    async def send_message(self, call: Call) -> a2a.SendMessageResponse:
        """SendMessage: a message for an answer at once, a task with `returnImmediately`."""
        request = protojson.decode(call.payload, a2a.SendMessageRequest)
        _require_user(request.message)
        if request.message.task_id:
            await self._refuse_follow_up(call.caller, request.message.task_id)
        if request.configuration.return_immediately:
            return a2a.SendMessageResponse(task=await self._in_background(call, request))
        parts = await self._parts.answering.answer(self._context(call, request.message))
        return a2a.SendMessageResponse(message=self._reply(request.message, parts))

    async def run_task(self, call: Call, sequence: int, delivered: int) -> None:
        """Bring the durable task with this stream sequence to its terminal state, unless it is there already."""
        identity = task_id(sequence)
        record = await self._parts.book.find(call.caller, identity)
        if record is not None and record.task.is_final:
            self._parts.book.found(record)
            return  # effects happen once
        try:
            request = protojson.decode(call.payload, a2a.SendMessageRequest)
            _require_user(request.message)
        except InvalidArgument as error:
            await self._reject(call, record, identity, error)
            return
        if record is None:
            record = await self._open(call, identity, request.message)
        if delivered > MAX_DELIVERIES:
            why = f"given up after {MAX_DELIVERIES} deliveries, none of which came to an end; the agent's log says why"
            await self._parts.book.save(record, a2a.FAILED, message=self._note(record, why))
            return
        await self._work(call, record, request.message)

    # -- tasks -------------------------------------------------------------------------------------------

    async def _in_background(self, call: Call, request: a2a.SendMessageRequest) -> a2a.Task:
        record = await self._open(call, f"t-{os.urandom(12).hex()}", request.message)
        opened = record.task
        # the request's deadline was for its answer, which is the task: the work has the agent's own limit
        self._background.begin(self._unattended(replace(call, deadline_ms=None), record, request.message))
        return _with_history(opened, request.configuration.history_length)

    async def _open(self, call: Call, identity: str, message: a2a.Message) -> TaskRecord:
        context = message.context_id or f"c-{os.urandom(12).hex()}"
        bound = msgspec.structs.replace(message, context_id=context, task_id=identity)
        status = a2a.TaskStatus(state=a2a.SUBMITTED, timestamp=rfc3339(time.time_ns()))
        task = a2a.Task(id=identity, context_id=context, status=status, history=(bound,))
        return await self._parts.book.open(call.caller, task)

    async def _unattended(self, call: Call, record: TaskRecord, message: a2a.Message) -> None:
        """The same where nothing delivers the task again: whoever looks must find it ended, if at all possible."""
        try:
            await self._work(call, record, message)
        except asyncio.CancelledError:
            await self._parts.book.save(
                record, a2a.FAILED, message=self._note(record, "the agent stopped before it was done")
            )
            raise
        except AgentbusError as error:
            _log.error("task.not_finished", task=record.task.id, reason=str(error))

    async def _work(self, call: Call, record: TaskRecord, message: a2a.Message) -> None:
        """Answer, and store how it ended.

        Raises:
            AgentbusError: the state could not be stored. That is no failure of the task: it may be run again.
        """
        if record.task.status.state != a2a.WORKING:
            await self._parts.book.save(record, a2a.WORKING)
        end = await self._end_of(call, record, message)
        await self._parts.book.save(record, end.state, message=end.message, artifacts=end.artifacts)

    async def _end_of(self, call: Call, record: TaskRecord, message: a2a.Message) -> _End:
        limit = asyncio.timeout(None)
        try:
            limit = asyncio.timeout(self._limit_s(call))
            async with limit:
                parts = await self._parts.answering.answer(self._context(call, message, record))
        except A2AError as error:
            state = a2a.REJECTED if error.fault == "caller" else a2a.FAILED
            return _End(state, self._note(record, str(error)))
        except StaleTask:
            raise
        except Exception as error:  # noqa: BLE001  the process's message boundary for tasks, as the responder is for requests
            if isinstance(error, TimeoutError) and limit.expired():
                return _End(a2a.FAILED, self._note(record, "the task ran out of time"))
            _log.exception("task.handler_failed", task=record.task.id)
            return _End(a2a.FAILED, self._note(record, "the agent failed; its log says why"))
        return _End(a2a.COMPLETED, artifacts=(a2a.Artifact(artifact_id=f"{record.task.id}.1", parts=parts),))

    async def _reject(self, call: Call, record: TaskRecord | None, identity: str, error: InvalidArgument) -> None:
        if record is None:
            placeholder = a2a.Message(message_id=identity, role="ROLE_USER", parts=())
            record = await self._open(call, identity, placeholder)
        await self._parts.book.save(record, a2a.REJECTED, message=self._note(record, str(error)))

    def _limit_s(self, call: Call) -> float:
        limit_s = self._parts.task_timeout_s
        if call.deadline_ms is None:
            return limit_s
        left_s = call.deadline_ms / 1000 - time.time()
        if left_s <= 0:
            raise DeadlineExceeded("the task's deadline passed before it could be started")
        return min(limit_s, left_s)

    async def _refuse_follow_up(self, caller: str, identity: str) -> None:
        task = await self._parts.book.get(caller, identity)
        state = task.status.state.removeprefix("TASK_STATE_").lower()
        raise UnsupportedOperation(f"task {identity} is {state} and takes no further message")

    # -- messages ----------------------------------------------------------------------------------------

    def _context(self, call: Call, message: a2a.Message, record: TaskRecord | None = None) -> Context:
        parts = self._parts
        context = Context(parts.agent, call.caller, message, call.deadline_ms, parts.calls, parts.propose)
        if record is None:
            return context

        async def progress(text: str) -> None:
            await parts.book.save(record, a2a.WORKING, message=self._note(record, text))

        return Context(parts.agent, call.caller, message, call.deadline_ms, parts.calls, parts.propose, progress)

    def _reply(self, message: a2a.Message, parts: tuple[a2a.Part, ...]) -> a2a.Message:
        identity = ulid(time.time_ns(), os.urandom(10))
        context = message.context_id or f"c-{identity}"
        return a2a.Message(message_id=identity, role="ROLE_AGENT", parts=parts, context_id=context)

    def _note(self, record: TaskRecord, text: str) -> a2a.Message:
        return a2a.Message(
            message_id=ulid(time.time_ns(), os.urandom(10)), role="ROLE_AGENT", task_id=record.task.id,
            context_id=record.task.context_id, parts=(a2a.Part(text=text),),
        )  # fmt: skip


def _require_user(message: a2a.Message) -> None:
    if message.role != "ROLE_USER":
        raise InvalidArgument("message.role must be ROLE_USER in a request")
    if not message.parts:
        raise InvalidArgument("message.parts is empty")


def _with_history(task: a2a.Task, length: int | None) -> a2a.Task:
    """The last `length` messages of the history; all when unset, none when 0."""
    if length is None:
        return task
    return msgspec.structs.replace(task, history=task.history[-length:] if length > 0 else ())
