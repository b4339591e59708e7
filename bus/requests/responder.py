"""Serves an agent's operations: one task per request, bounded, each answered exactly once.

Guarantees: a request that was accepted is answered, also while draining; a handler's error reaches the
caller as an error object without its text. Not guaranteed: that an answer arrives (the connection may
break); the caller's deadline covers that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from bus import trace
from bus.audit.emit import Audit
from bus.audit.event import Happened
from bus.background import Background
from bus.connection import Connection, Msg, Subscription
from bus.discovery.micro import Counts
from bus.errors import AuditUnavailable
from bus.headers import Block, extended
from bus.inbound import PLAIN_ANSWER, Call, Steered, read_request
from bus.requests import chain, spending
from bus.requests.answers import Answer, Answers
from bus.requests.flow import Bounds, Buckets, Places
from bus.requests.streaming import Stream, send_frames
from schemas import names, protojson, subjects
from schemas.a2a import A2AObject
from schemas.audit import Outcome
from schemas.errors import (
    A2AError,
    AgentbusError,
    DeadlineExceeded,
    Internal,
    InvalidAgentResponse,
    RateLimited,
    Unavailable,
    UnsupportedOperation,
)

_log = structlog.get_logger("bus")

_WORK = frozenset({"SendMessage", "SendStreamingMessage"})
"""Their operations take the place for their work themselves."""
_STREAMING = frozenset({"SendStreamingMessage", "SubscribeToTask"})
_TRAIL_RETRY_S = "5"
"""What a caller is told to wait when the trail takes nothing."""
_HEADER_ROOM = 1024
"""Bytes kept free for an answer's headers."""

Operation = Callable[[Call], Awaitable[A2AObject | Stream]]
"""Answers with one object, or with a stream of updates."""
Lighter = Callable[[str, A2AObject], Awaitable[A2AObject]]


class _Request:
    """A request that is served, and how long the work on it may take.

    A timer is begun only for work that has to wait for something.
    """

    __slots__ = ("_is_over", "_timer", "call", "is_expired", "operation", "seconds", "started")

    def __init__(self, call: Call) -> None:
        self.started = time.perf_counter()
        self.call = call
        self.operation: Operation = _nothing
        self.seconds = 0.0
        self.is_expired = False
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, task: asyncio.Task[None]) -> None:
        """Cancel the work in `task` when the time is over, unless it has ended."""
        if not self._is_over:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._expire, task)

    def end(self) -> None:
        """The work has ended; what is still to be done takes no time of it."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def forgive(self) -> None:
        """The cancellation was for the time, and has done what it was for."""
        if task := asyncio.current_task():
            task.uncancel()

    def _expire(self, task: asyncio.Task[None]) -> None:
        self.is_expired = True
        task.cancel()


class Responder:
    """Answers `a2a.v1.req.<agent>.*.*` in the agent's queue group."""

    def __init__(
        self,
        connection: Connection,
        agent: str,
        operations: Mapping[str, Operation],
        audit: Audit,
        bounds: Bounds,
        places: Places,
    ) -> None:
        self._connection = connection
        self._agent = agent
        self._operations = operations
        self._audit = audit
        self._answers = Answers(connection, audit)
        self._bounds = bounds
        self._buckets = Buckets(bounds.rate, bounds.rate_of)
        self._places = places
        self._running = Background()
        self.counts = {operation: Counts() for operation in operations}
        """What each operation has done."""
        self.activated: Callable[[Call], frozenset[str]] = _none
        """Which of the extensions that a caller declares are active, by URI: answers name them. Set before `start`."""
        self.lighter: Lighter | None = None
        """Makes an answer to a caller fit into a message. Set before `start`."""
        self._subscription: Subscription | None = None
        self._arrived: list[Msg] = []
        """What this read of the socket has brought so far."""
        self._draining = asyncio.Event()
        self._streams = 0

    @property
    def streams(self) -> int:
        """Open streams."""
        return self._streams

    async def start(self) -> None:
        """Take requests from now on."""
        pattern = subjects.Request.pattern(agent=self._agent)
        self._subscription = await self._connection.subscribe(pattern, self._on_message, queue=self._agent)
        await self._connection.flush()

    async def drain(self, timeout_s: float) -> int:
        """Take no more, finish what was accepted; returns how many requests were still unfinished at the end.

        Those are cancelled, and their callers told that the agent is unavailable. Streams end at once: their
        callers take them up again at another instance.
        """
        self._draining.set()
        ends_s = time.monotonic() + timeout_s
        if self._subscription is not None:
            await self._connection.drain(self._subscription, timeout_s)
        unfinished = await self._running.drain(max(0.0, ends_s - time.monotonic()))
        self._answers.send()
        return unfinished

    def _on_message(self, message: Msg) -> None:
        if not self._arrived:
            self._connection.after_read(self._take_in)
        self._arrived.append(message)

    def _take_in(self) -> None:
        """Everything that one read of the socket brought is written down together, then begun, then answered."""
        arrived, self._arrived = self._arrived, []
        self._answers.hold()
        try:
            requests = [request for message in arrived if (request := self._admitted(message))]
            if self._audit.is_behind:
                self._running.begin(self._begin_later(requests))
            else:
                self._begin(requests)
        finally:
            self._answers.send()

    def _admitted(self, message: Msg) -> _Request | None:
        """What is to be worked on; what is not has been refused."""
        try:
            request = _Request(read_request(message))
        except (Steered, AgentbusError) as refusal:
            self._answers.record([
                Happened(
                    kind="request.refused", action="unknown", resource=message.subject, outcome="denied",
                    reason=str(refusal),
                )
            ])  # fmt: skip
            return None
        try:
            request.operation = self._operation(request.call)
            request.seconds = self._seconds(request.call)
        except A2AError as error:
            self._refuse(request, error)
            return None
        return request

    async def _begin_later(self, requests: list[_Request]) -> None:
        try:
            await self._audit.catch_up()
        except asyncio.CancelledError:
            for request in requests:
                self._refuse(request, self._cancelled(request))
            raise
        self._begin(requests)

    def _begin(self, requests: list[_Request]) -> None:
        try:
            events = self._audit.emit_all([
                Happened(
                    kind="request.received", action=call.operation, actor=call.caller, payload=call.payload,
                    trace=call.trace,
                )
                for call in [request.call for request in requests]
            ])  # fmt: skip
        except AuditUnavailable as error:
            for request in requests:
                refusal = _defect(request.call, error)
                refusal.metadata[names.NOTHING_BEGUN_KEY] = "true"
                self._refuse(request, refusal)
            return
        for request, event in zip(requests, events, strict=True):
            task = self._running.begin(self._serve(request, event))
            if not task.done():
                request.watch(task)

    async def _serve(self, request: _Request, event: str) -> None:
        call = request.call
        trace.enter(call.trace.caused_by(event))
        chain.enter(call)
        try:
            answer = await self._answered(request.operation, call)
            request.end()
            if isinstance(answer, Stream):
                await self._stream(call, answer)
                body = b""
            else:
                body = protojson.encode(answer)
                if self._is_too_large(body):
                    body = await self._lighter_body(call, answer)
        except A2AError as error:
            self._refuse(request, error)
        except asyncio.CancelledError:
            self._refuse(request, self._cancelled(request))
            if not request.is_expired:
                raise
            request.forgive()
        except Exception as error:  # noqa: BLE001  the process's message boundary: one bad request must not end the others
            self._refuse(request, _defect(call, error))
        else:
            self._answer(request, body)

    async def _answered(self, operation: Operation, call: Call) -> A2AObject | Stream:
        if call.operation in _WORK:
            return await operation(call)  # it takes a place when it begins work, and that goes on with the place
        with self._places.desk.take() or await self._places.desk.wait():
            return await operation(call)

    def _answer(self, request: _Request, body: bytes) -> None:
        """Send the answer, nothing after a stream, and write down that it was sent."""
        call, took_s = request.call, time.perf_counter() - request.started
        self.counts[call.operation].add(took_s)
        happened = Happened(
            kind="request.answered", action=call.operation, actor=call.caller, payload=body, duration_ms=_ms(took_s),
            trace=call.trace,
        )  # fmt: skip
        self._answers.add(Answer(call, body, self._plain(call), happened))

    def _refuse(self, request: _Request, error: A2AError) -> None:
        request.end()
        call, took_s = request.call, time.perf_counter() - request.started
        if counts := self.counts.get(call.operation):
            counts.add(took_s, error.reason)
        line = error.message.splitlines()[0] if error.message else error.reason
        headers = {names.SERVICE_ERROR: f"{error.reason}: {line}"[:200], names.SERVICE_ERROR_CODE: str(error.code)}
        count = self._buckets.refused(call.caller, time.monotonic()) if isinstance(error, RateLimited) else 1
        happened = Happened(
            kind="request.refused", action=call.operation, actor=call.caller, outcome=_outcome(error),
            reason=f"{error.reason}: {line}", duration_ms=_ms(took_s), trace=call.trace,
            metadata={"requests": count} if count > 1 else None,
        )  # fmt: skip
        body = protojson.encode(spending.on_error(error).to_body())
        self._answers.add(Answer(call, body, extended(PLAIN_ANSWER, headers), happened if count else None))

    def _cancelled(self, request: _Request) -> A2AError:
        """What to tell the caller of work that was cancelled."""
        if request.is_expired:
            return DeadlineExceeded(f"no answer within {request.seconds:.3g} s; the work was cancelled")
        return Unavailable(f"{self._agent} stopped before it was done")

    async def _lighter_body(self, call: Call, answer: A2AObject) -> bytes:
        """An answer that was too large, with what is large in it beside it."""
        return self._fitting(protojson.encode(await self.lighter(call.caller, answer) if self.lighter else answer))

    async def _stream(self, call: Call, stream: Stream) -> None:
        """Send the frames. It takes no place of those who work: what it shows runs elsewhere."""
        plain = self._plain(call)

        async def send(body: bytes, headers: dict[str, str]) -> None:
            frame = self._fitting(body)
            try:
                await self._connection.publish(call.reply, frame, headers=extended(plain, headers))
            except A2AError as error:
                _log.warning("bus.answer_lost", operation=call.operation, caller=call.caller, reason=error.reason)

        self._streams += 1
        try:
            await send_frames(stream, send, self._draining)
        finally:
            self._streams -= 1

    def _plain(self, call: Call) -> Block:
        """The headers of an answer that is no error."""
        active = self.activated(call) if call.extensions else None
        return extended(PLAIN_ANSWER, {names.A2A_EXTENSIONS: ",".join(sorted(active))}) if active else PLAIN_ANSWER

    def _is_too_large(self, body: bytes) -> bool:
        return len(body) + _HEADER_ROOM > self._connection.max_payload_bytes

    def _fitting(self, body: bytes) -> bytes:
        if self._is_too_large(body):
            raise InvalidAgentResponse(f"the answer is {len(body)} bytes, over the server's limit")
        return body

    def _operation(self, call: Call) -> Operation:
        """What to do.

        Raises:
            A2AError: why it is not done.
        """
        if call.problem:
            raise call.problem
        operation = self._operations.get(call.operation)
        if operation is None:
            raise UnsupportedOperation(f"{self._agent} has no operation {call.operation}")
        if call.operation in _WORK:
            chain.refuse_loop(call)
            self._buckets.take(call.caller, time.monotonic())
        if call.operation in _STREAMING and self._streams >= self._bounds.max_streams:
            raise Unavailable(
                f"{self._agent} has {self._streams} streams open already", retry_after_s="5", nothing_begun="true"
            )
        return operation

    def _seconds(self, call: Call) -> float:
        limit_s = self._bounds.timeout_s
        if call.deadline_ms is not None:
            limit_s = min(limit_s, call.deadline_ms / 1000 - time.time())
        if limit_s <= 0:
            raise DeadlineExceeded("the deadline had passed when the request arrived")
        return limit_s


def _defect(call: Call, error: Exception) -> A2AError:
    """What to tell the caller of an error that is not for it; the log has the rest."""
    if isinstance(error, AuditUnavailable):
        return Unavailable(f"the audit trail cannot be written: {error}", retry_after_s=_TRAIL_RETRY_S)
    _log.error("bus.handler_failed", operation=call.operation, caller=call.caller, exc_info=error)
    return Internal("the agent failed; its log says why")


def _none(_: Call) -> frozenset[str]:
    return frozenset()


async def _nothing(_: Call) -> A2AObject:
    raise AssertionError


def _outcome(error: A2AError) -> Outcome:
    return "denied" if error.fault == "caller" else "failure"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
