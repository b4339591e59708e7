"""Serves an agent's operations: one task per request, bounded, each answered exactly once.

Guarantees: a request that was accepted is answered, also while draining; a handler's error reaches the
caller as an error object without its text. Not guaranteed: that an answer arrives (the connection may
break); the caller's deadline covers that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Unpack

import structlog

from bus import chain, trace
from bus.audit.emit import Audit, Facts
from bus.background import Background
from bus.connection import Connection, Msg, Subscription
from bus.errors import AuditUnavailable
from bus.flow import Buckets, Bulkhead, Rate
from bus.headers import Block, extended
from bus.inbound import PLAIN_ANSWER, Call, Steered, read_request
from bus.micro import Counts
from bus.streaming import Stream, send_frames
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

_UNLIMITED = Rate(0, 0)
_WORK = frozenset({"SendMessage", "SendStreamingMessage"})
_STREAMING = frozenset({"SendStreamingMessage", "SubscribeToTask"})
_HEADER_ROOM = 1024
"""Bytes kept free for an answer's headers."""

Operation = Callable[[Call], Awaitable[A2AObject | Stream]]
"""Answers with one object, or with a stream of updates."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is taken on at once, and for how long at most."""

    max_concurrent: int = 100
    max_queued: int = 1000
    max_streams: int = 1000
    timeout_s: float = 300.0
    queue_timeout_s: float = 30.0
    rate: Rate = _UNLIMITED
    """Of one caller, for what makes work: sending messages. Looking at tasks and canceling them are free."""
    rate_of: Mapping[str, Rate] = field(default_factory=dict)
    """In place of `rate`, by caller."""


class _Limit:
    """How long the work on one request may take. A timer is begun only for work that has to wait for something.

    `seconds` is set before the work first waits, None when it does not count (any more).
    """

    __slots__ = ("_timer", "is_expired", "seconds")

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.is_expired = False
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, task: asyncio.Task[None]) -> None:
        """Cancel the work in `task` when the time is over, unless it has ended."""
        if self.seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._expire, task)

    def end(self) -> None:
        """The work has ended; what is still to be done takes no time of it."""
        self.seconds = None
        if self._timer is not None:
            self._timer.cancel()

    def forgive(self) -> None:
        """The cancellation was this limit's, and has done what it was for."""
        if task := asyncio.current_task():
            task.uncancel()

    def _expire(self, task: asyncio.Task[None]) -> None:
        self.is_expired = True
        task.cancel()


class Responder:
    """Answers `a2a.v1.req.<agent>.*.*` in the agent's queue group."""

    def __init__(
        self, connection: Connection, agent: str, operations: Mapping[str, Operation], audit: Audit, bounds: Bounds
    ) -> None:
        self._connection = connection
        self._agent = agent
        self._operations = operations
        self._audit = audit
        self._bounds = bounds
        self._buckets = Buckets(bounds.rate, bounds.rate_of)
        self._bulkhead = Bulkhead(bounds.max_concurrent, bounds.max_queued, bounds.queue_timeout_s)
        self._running = Background()
        self.counts = {operation: Counts() for operation in operations}
        """What each operation has done."""
        self.activated: Callable[[Call], frozenset[str]] = _none
        """Which of the extensions that a caller declares are active, by URI: answers name them. Set before `start`."""
        self._subscription: Subscription | None = None
        self._draining = asyncio.Event()
        self._streams = 0

    @property
    def load(self) -> tuple[int, int, int]:
        """Requests at work, requests that wait for a place, open streams."""
        return self._bulkhead.running, self._bulkhead.queued, self._streams

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
        if self._subscription is not None:
            await self._connection.drain(self._subscription)
        return await self._running.drain(timeout_s)

    def _on_message(self, message: Msg) -> None:
        limit = _Limit()
        task = self._running.begin(self._serve(message, limit))
        if not task.done():
            limit.watch(task)

    async def _serve(self, message: Msg, limit: _Limit) -> None:
        started = time.perf_counter()
        try:
            call = read_request(message)
        except (Steered, AgentbusError) as refusal:
            self._record(
                "request.refused", action="unknown", resource=message.subject, outcome="denied", reason=str(refusal)
            )
            return
        trace.enter(call.trace)
        chain.enter(call)
        await self._answer(call, limit, started)

    async def _answer(self, call: Call, limit: _Limit, started: float) -> None:
        try:
            operation = self._admit(call)
            limit.seconds = self._seconds(call)
            if self._audit.is_behind:
                await self._audit.catch_up()
            event = self._audit.emit("request.received", action=call.operation, actor=call.caller, payload=call.payload)
            trace.enter(call.trace.caused_by(event))
            body = await self._body(call, await self._within_deadline(operation, call, limit))
        except AuditUnavailable as error:
            await self._refuse(call, Unavailable(f"the audit trail cannot be written: {error}"), started)
        except A2AError as error:
            await self._refuse(call, error, started)
        except asyncio.CancelledError:
            await self._refuse(call, Unavailable(f"{self._agent} stopped before it was done"), started)
            raise
        except Exception:  # noqa: BLE001  the process's message boundary: one bad request must not end the others
            _log.exception("bus.handler_failed", operation=call.operation, caller=call.caller)
            await self._refuse(call, Internal("the agent failed; its log says why"), started)
        else:
            trace.enter(call.trace)
            if body:
                await self._send(call, body, self._plain(call))
            took_s = time.perf_counter() - started
            self.counts[call.operation].add(took_s)
            self._record(
                "request.answered", action=call.operation, actor=call.caller, payload=body, duration_ms=_ms(took_s)
            )

    def _record(self, kind: str, **facts: Unpack[Facts]) -> None:
        """Write down what cannot be undone any more: a full spool refuses the next request, not this one's answer."""
        try:
            self._audit.emit(kind, **facts)
        except AuditUnavailable as error:
            _log.error("bus.not_audited", kind=kind, reason=str(error))

    async def _body(self, call: Call, answer: A2AObject | Stream) -> bytes:
        """What is still to be sent: nothing after a stream."""
        if isinstance(answer, Stream):
            await self._stream(call, answer)
            return b""
        return self._fitting(protojson.encode(answer))

    async def _stream(self, call: Call, stream: Stream) -> None:
        """Send the frames. It takes no place of those who work: what it shows runs elsewhere."""
        plain = self._plain(call)

        async def send(body: bytes, headers: dict[str, str]) -> None:
            await self._send(call, self._fitting(body), extended(plain, headers))

        self._streams += 1
        try:
            await send_frames(stream, send, self._draining)
        finally:
            self._streams -= 1

    def _plain(self, call: Call) -> Block:
        """The headers of an answer that is no error."""
        active = self.activated(call) if call.extensions else None
        return extended(PLAIN_ANSWER, {names.A2A_EXTENSIONS: ",".join(sorted(active))}) if active else PLAIN_ANSWER

    def _fitting(self, body: bytes) -> bytes:
        if len(body) + _HEADER_ROOM > self._connection.max_payload_bytes:
            raise InvalidAgentResponse(f"the answer is {len(body)} bytes, over the server's limit")
        return body

    def _admit(self, call: Call) -> Operation:
        if call.problem:
            raise call.problem
        operation = self._operations.get(call.operation)
        if operation is None:
            raise UnsupportedOperation(f"{self._agent} has no operation {call.operation}")
        if call.operation in _WORK:
            chain.refuse_loop(call)
            self._buckets.take(call.caller, time.monotonic())
        if call.operation in _STREAMING and self._streams >= self._bounds.max_streams:
            raise Unavailable(f"{self._agent} has {self._streams} streams open already", retry_after_s="5")
        return operation

    def _seconds(self, call: Call) -> float:
        limit_s = self._bounds.timeout_s
        if call.deadline_ms is not None:
            limit_s = min(limit_s, call.deadline_ms / 1000 - time.time())
        if limit_s <= 0:
            raise DeadlineExceeded("the deadline had passed when the request arrived")
        return limit_s

    async def _within_deadline(self, operation: Operation, call: Call, limit: _Limit) -> A2AObject | Stream:
        limit_s = limit.seconds
        try:
            with await self._bulkhead.enter():
                return await operation(call)
        except asyncio.CancelledError:
            if not limit.is_expired:
                raise
            limit.forgive()
            raise DeadlineExceeded(f"no answer within {limit_s:.3g} s; the work was cancelled") from None
        finally:
            limit.end()

    async def _refuse(self, call: Call, error: A2AError, started: float) -> None:
        trace.enter(call.trace)
        took_s = time.perf_counter() - started
        if counts := self.counts.get(call.operation):
            counts.add(took_s, error.reason)
        line = error.message.splitlines()[0] if error.message else error.reason
        headers = {names.SERVICE_ERROR: f"{error.reason}: {line}"[:200], names.SERVICE_ERROR_CODE: str(error.code)}
        await self._send(call, protojson.encode(error.to_body()), extended(PLAIN_ANSWER, headers))
        count = self._buckets.refused(call.caller, time.monotonic()) if isinstance(error, RateLimited) else 1
        if count:
            self._record(
                "request.refused", action=call.operation, actor=call.caller, outcome=_outcome(error),
                reason=f"{error.reason}: {line}", duration_ms=_ms(took_s),
                metadata={"requests": count} if count > 1 else {},
            )  # fmt: skip

    async def _send(self, call: Call, body: bytes, headers: Block) -> None:
        try:
            await self._connection.publish(call.reply, body, headers=headers)
        except A2AError as error:
            _log.warning("bus.answer_lost", operation=call.operation, caller=call.caller, reason=error.reason)


def _none(_: Call) -> frozenset[str]:
    return frozenset()


def _outcome(error: A2AError) -> Outcome:
    return "denied" if error.fault == "caller" else "failure"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
