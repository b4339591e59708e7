"""Works off an agent's durable tasks: pull, run, acknowledge.

Guarantees: a task is acknowledged only after its terminal state is stored; a task whose worker died is
delivered again; a task that was delivered again after its end is acknowledged without running. Delivery
is at least once; what a handler does to the outside world twice is the handler's concern.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import structlog

from bus import trace
from bus.audit.emit import Audit
from bus.background import Background, OnFailure, only_logged, vital
from bus.errors import NotProvisioned, StorageFull
from bus.inbound import Call, Steered
from bus.provision.streams import TASK_ACK_WAIT_S
from bus.requests.flow import Places
from bus.tasks.dead_letters import DeadLetters, GivenUp
from bus.tasks.retry import pause_s
from bus.tasks.room import TaskRoom
from bus.tasks.sources import Source, Taken
from schemas.errors import A2AError, AgentbusError

_log = structlog.get_logger("bus")
_ACK, _PROGRESS, _TERM, _NAK = b"+ACK", b"+WPI", b"+TERM", b"-NAK"
_PULL_WAIT_S = 5.0
_RETRY_S = 1.0

RunTask = Callable[[Call, int, int], Awaitable[None]]
"""Runs the task with this stream sequence, delivered so many times, to its terminal state; what it raises means:
deliver it again; but GivenUp: it has ended, keep its message as a dead letter."""


class TaskWorker:
    """Takes tasks from its sources, as far as there are places to work in, and room for their records.

    A task is taken when there is a place for it, so that others stay on the stream for other instances. One for each
    source may be in hand before there is a place: it came while none was asked for, and waits for the next one.
    """

    def __init__(
        self,
        sources: tuple[Source, ...],
        run: RunTask,
        audit: Audit,
        dead: DeadLetters,
        places: Places,
        room: TaskRoom | None = None,
    ) -> None:
        self._sources = sources
        self._dead = dead
        self._records = room
        self._run = run
        self._audit = audit
        self._places = places
        self._running = Background()
        self._at_work: set[int] = set()
        """Stream sequences of the tasks that run here."""
        self._loop: asyncio.Task[None] | None = None

    def start(self, on_failure: OnFailure = only_logged) -> None:
        """Take tasks from now on."""
        self._loop = vital(self._pull_from_all(), "taking tasks", on_failure)

    async def drain(self, timeout_s: float) -> int:
        """Take no more; finish what runs. What is unfinished at the end goes back to the stream at once."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        return await self._running.drain(timeout_s)

    async def _pull_from_all(self) -> None:
        await asyncio.gather(*map(self._pull_forever, self._sources))

    async def _pull_forever(self, source: Source) -> None:
        has_more = False
        while True:
            if self._records is not None:
                await self._records.wait()
            if self._audit.is_filling:
                await asyncio.sleep(_RETRY_S)
                continue
            take = self._take_those_there if has_more or self._is_full else self._take_the_next
            try:
                has_more = await take(source)
            except (A2AError, NotProvisioned) as error:
                _log.warning("task.pull_failed", reason=str(error))
                await asyncio.sleep(_RETRY_S)

    @property
    def _is_full(self) -> bool:
        return self._places.tasks.free <= 0 or self._places.work.free <= 0

    async def _take_those_there(self, source: Source) -> bool:
        """Take as many tasks as there are places for, without waiting for tasks; whether there were any."""
        work = self._places.work
        rooms = [await self._room()]
        others = range(work.free // 2)  # the other half is for requests that come meanwhile
        rooms += [room for _ in others if (room := self._room_now())]
        lent = len(rooms)
        work.lent += lent
        try:
            tasks = await source.pull(lent, wait_s=0)
            for taken in tasks:
                self._begin(taken, rooms.pop())
        finally:
            work.lent -= lent
            for room in rooms:
                room.close()
        return bool(tasks)

    async def _take_the_next(self, source: Source) -> bool:
        """Wait for a task, then for a place: one that was held meanwhile would be kept from requests."""
        tasks = await source.pull(1, wait_s=_PULL_WAIT_S)
        for taken in tasks:
            self._begin(taken, self._room_now() or await self._room_for(taken))
        return bool(tasks)

    async def _room(self) -> ExitStack:
        """A place for a task, when its turn has come; to be closed when it is done."""
        with ExitStack() as room:
            room.enter_context(await self._places.tasks.turn())
            room.enter_context(await self._places.work.turn())
            return room.pop_all()

    def _room_now(self) -> ExitStack | None:
        if self._is_full:
            return None
        room = ExitStack()
        for place in (self._places.tasks.take(), self._places.work.take()):
            if place is not None:
                room.enter_context(place)
        return room

    async def _room_for(self, taken: Taken) -> ExitStack:
        alive = asyncio.create_task(self._stay_alive(taken))
        try:
            return await self._room()
        except asyncio.CancelledError:
            await self._say(taken, _NAK)
            raise
        finally:
            alive.cancel()

    def _begin(self, taken: Taken, room: ExitStack) -> None:
        task = self._running.begin(self._work(taken))
        task.add_done_callback(self._end)
        task.add_done_callback(lambda _: room.close())

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            # A defect of ours. Nothing was acknowledged, so the server delivers the task again.
            _log.error("task.not_run", exc_info=error)

    async def _work(self, taken: Taken) -> None:
        message, delivery = taken.message, taken.delivery
        if delivery.stream_sequence in self._at_work:
            # The server heard no word of it, an outage for example; it is not run beside itself.
            await self._say(taken, _PROGRESS)
            return
        try:
            call = taken.read()
        except (Steered, AgentbusError) as refusal:
            self._audit.emit(
                "task.refused", action="task", resource=message.subject, outcome="denied", reason=str(refusal),
                metadata={"sequence": delivery.stream_sequence},
            )  # fmt: skip
            if not isinstance(refusal, Steered):  # what was steered is nobody's task
                await self._dead.bury(message, delivery, str(refusal))
            await self._say(taken, _TERM)
            return
        self._at_work.add(delivery.stream_sequence)
        try:
            with trace.entered(call.trace):
                await self._run_once(taken, call)
        finally:
            self._at_work.discard(delivery.stream_sequence)

    async def _run_once(self, taken: Taken, call: Call) -> None:
        delivery = taken.delivery
        kind = "task.received" if delivery.delivered == 1 else "task.redelivered"
        event = self._audit.emit(
            kind,
            action="task",
            actor=call.caller,
            payload=call.payload,
            metadata={"sequence": delivery.stream_sequence},
        )
        alive = asyncio.create_task(self._stay_alive(taken))
        try:
            with trace.entered(call.trace.caused_by(event)):
                await self._run(call, delivery.stream_sequence, delivery.delivered)
        except asyncio.CancelledError:
            await self._say(taken, _NAK)
            raise
        except GivenUp as end:
            await self._dead.bury(taken.message, delivery, str(end))
            self._audit.emit(
                "task.given_up", action="task", actor=call.caller, outcome="failure", reason=str(end),
                metadata={"sequence": delivery.stream_sequence, "tries": delivery.delivered},
            )  # fmt: skip
            await self._say(taken, _ACK)
        except AgentbusError as error:
            await self._dead.note(call.caller, delivery, error)
            if isinstance(error, StorageFull) and self._records is not None:
                self._records.ran_out(str(error))
            _log.warning("task.not_finished", sequence=delivery.stream_sequence, reason=str(error))
            await self._say(taken, _NAK + b' {"delay": %d}' % (pause_s(delivery.delivered, error) * 1e9))
        else:
            await self._say(taken, _ACK)
        finally:
            alive.cancel()

    async def _stay_alive(self, taken: Taken) -> None:
        while True:
            await asyncio.sleep(TASK_ACK_WAIT_S / 3)
            await self._say(taken, _PROGRESS)

    async def _say(self, taken: Taken, word: bytes) -> None:
        try:
            await taken.connection.publish(taken.message.reply, word)
        except A2AError as error:
            # Not told, so the server delivers again; the stored terminal state makes that harmless.
            _log.warning("task.acknowledgement_lost", word=word.decode(), reason=error.reason)
