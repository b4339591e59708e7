"""Works off an agent's durable tasks: pull, run, acknowledge.

Guarantees: a task is acknowledged only after its terminal state is stored; a task whose worker died is
delivered again; a task that was delivered again after its end is acknowledged without running. Delivery
is at least once; what a handler does to the outside world twice is the handler's concern.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bus import trace
from bus.audit.emit import Audit
from bus.background import Background, OnFailure, only_logged, vital
from bus.connection import Connection, Msg
from bus.dead_letters import DeadLetters, GivenUp
from bus.errors import NotProvisioned
from bus.inbound import Call, Steered, read_task
from bus.jetstream import Delivery, Puller, delivery_of
from bus.provision.streams import TASK_ACK_WAIT_S
from schemas import names
from schemas.errors import A2AError, AgentbusError

_log = structlog.get_logger("bus")
_ACK, _PROGRESS, _TERM, _NAK = b"+ACK", b"+WPI", b"+TERM", b"-NAK"
_PULL_WAIT_S = 5.0
_RETRY_S = 1.0
_LONGEST_DELAY_S = 60
_SPOOL_LIMIT = 0.8
"""Above this no task is taken: what is done must be told, and there is hardly room to tell it."""

RunTask = Callable[[Call, int, int], Awaitable[None]]
"""Runs the task with this stream sequence, delivered so many times, to its terminal state; what it raises means:
deliver it again; but GivenUp: it has ended, keep its message as a dead letter."""


class TaskWorker:
    """Pulls from TASKS for one agent and runs up to `max_concurrent` tasks at once."""

    def __init__(
        self, connection: Connection, run: RunTask, audit: Audit, dead: DeadLetters, max_concurrent: int
    ) -> None:
        self._connection = connection
        self._dead = dead
        self._run = run
        self._audit = audit
        self._free = max_concurrent
        self._changed = asyncio.Event()
        self._puller = Puller(connection, names.TASKS, dead.agent)
        self._running = Background()
        self._at_work: set[int] = set()
        """Stream sequences of the tasks that run here."""
        self._loop: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """Tasks at work here."""
        return len(self._running)

    def start(self, on_failure: OnFailure = only_logged) -> None:
        """Take tasks from now on."""
        self._loop = vital(self._pull_forever(), "taking tasks", on_failure)

    async def drain(self, timeout_s: float) -> int:
        """Take no more; finish what runs. What is unfinished at the end goes back to the stream at once."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        return await self._running.drain(timeout_s)

    async def _pull_forever(self) -> None:
        while True:
            self._changed.clear()
            if self._free <= 0:
                await self._changed.wait()
                continue
            if self._audit.fill > _SPOOL_LIMIT:
                await asyncio.sleep(_RETRY_S)
                continue
            try:
                messages = await self._puller.pull(self._free, wait_s=_PULL_WAIT_S)
            except (A2AError, NotProvisioned) as error:
                _log.warning("task.pull_failed", reason=str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            for message in messages:
                self._begin(message)

    def _begin(self, message: Msg) -> None:
        self._free -= 1
        self._running.begin(self._work(message)).add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            # A defect of ours. Nothing was acknowledged, so the server delivers the task again.
            _log.error("task.not_run", exc_info=error)
        self._free += 1
        self._changed.set()

    async def _work(self, message: Msg) -> None:
        delivery = delivery_of(message)
        if delivery.stream_sequence in self._at_work:
            # The server heard no word of it, an outage for example; it is not run beside itself.
            await self._say(message, _PROGRESS)
            return
        try:
            call = read_task(message)
        except (Steered, AgentbusError) as refusal:
            self._audit.emit(
                "task.refused", action="task", resource=message.subject, outcome="denied", reason=str(refusal),
                metadata={"sequence": delivery.stream_sequence},
            )  # fmt: skip
            if not isinstance(refusal, Steered):  # what was steered is nobody's task
                await self._dead.bury(message, delivery, str(refusal))
            await self._say(message, _TERM)
            return
        self._at_work.add(delivery.stream_sequence)
        try:
            with trace.entered(call.trace):
                await self._run_once(message, call, delivery)
        finally:
            self._at_work.discard(delivery.stream_sequence)

    async def _run_once(self, message: Msg, call: Call, delivery: Delivery) -> None:
        kind = "task.received" if delivery.delivered == 1 else "task.redelivered"
        event = self._audit.emit(
            kind,
            action="task",
            actor=call.caller,
            payload=call.payload,
            metadata={"sequence": delivery.stream_sequence},
        )
        alive = asyncio.create_task(self._stay_alive(message))
        try:
            with trace.entered(call.trace.caused_by(event)):
                await self._run(call, delivery.stream_sequence, delivery.delivered)
        except asyncio.CancelledError:
            await self._say(message, _NAK)
            raise
        except GivenUp as end:
            await self._dead.bury(message, delivery, str(end))
            await self._say(message, _ACK)
        except AgentbusError as error:
            await self._dead.note(call.caller, delivery, error)
            _log.warning("task.not_finished", sequence=delivery.stream_sequence, reason=str(error))
            delay_s = min(_LONGEST_DELAY_S, 2 ** min(delivery.delivered, 6) / 2)
            await self._say(message, _NAK + b' {"delay": %d}' % (delay_s * 1e9))
        else:
            await self._say(message, _ACK)
        finally:
            alive.cancel()

    async def _stay_alive(self, message: Msg) -> None:
        while True:
            await asyncio.sleep(TASK_ACK_WAIT_S / 3)
            await self._say(message, _PROGRESS)

    async def _say(self, message: Msg, word: bytes) -> None:
        try:
            await self._connection.publish(message.reply, word)
        except A2AError as error:
            # Not told, so the server delivers again; the stored terminal state makes that harmless.
            _log.warning("task.acknowledgement_lost", word=word.decode(), reason=error.reason)
