"""The caller's side of A2A over NATS: ask an agent, leave it a task, look at tasks.

Guarantees: an agent that nobody serves is `Unavailable` at once, not after the timeout; a reply is taken
only from the subject that the asked agent alone can publish. Not guaranteed: after `DeadlineExceeded` the
agent may have acted.
"""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Unpack

import structlog

from bus import trace
from bus.audit.emit import Audit, Facts
from bus.connection import Connection, Msg, Subscription
from bus.discovery.cards import CardNotTrusted, verify_card
from bus.errors import AuditUnavailable
from bus.headers import encode, extended
from bus.inbound import read_answer
from bus.jetstream import ApiError, store
from bus.parts import MARK, MONTH_S, MUCH_BYTES, LargeParts, payload_of, whole_of
from bus.requests import chain, spending
from bus.requests.breaker import BreakerRules, Breakers, State
from bus.requests.replies import Replies
from bus.requests.streaming import SILENCE_S, Broken, Place
from bus.tasks.keys import message_id
from bus.tasks.not_before import not_before_header
from bus.tasks.refused import refusal
from schemas import a2a, names, protojson, subjects
from schemas.audit import Outcome
from schemas.errors import A2AError, DeadlineExceeded, InvalidArgument, Unavailable
from schemas.ids import task_id

_log = structlog.get_logger("bus")


class Caller:
    """Sends requests as `name`, which must be the identity of the connection."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        audit: Audit | None = None,
        *,
        breaking: BreakerRules = BreakerRules(),  # noqa: B008  frozen
        parts: LargeParts | None = None,
    ) -> None:
        self._connection = connection
        self._name = name
        self._audit = audit
        self._parts = parts
        """Without it what is too large for a message cannot be sent, and comes as a reference."""
        self._replies = Replies(name)
        self.breakers = Breakers(breaking, connection, self._on_breaker)
        """Who is left alone for a while because it failed again and again."""
        self._shares = spending.Shares()
        self._subscription: Subscription | None = None
        self._always = _ALWAYS
        """The header block that each request begins with."""

    async def start(self) -> None:
        """Listen for replies to this caller; several processes may use one name."""
        self._subscription = await self._connection.subscribe(self._replies.pattern, self._replies.arrived)
        self._connection.refusals.append(self._replies.refused)

    def declaring(self, *extensions: str) -> Caller:
        """The same caller, whose requests and tasks declare that it supports these extensions of A2A, by URI.

        Raises:
            InvalidArgument: a URI holds a comma or a line break.
        """
        if any("," in uri for uri in extensions):
            raise InvalidArgument("the URI of an extension cannot hold a comma; give each by itself")
        if not extensions:
            return self
        other = copy.copy(self)
        header = {names.A2A_EXTENSIONS: ",".join(extensions)}
        other._always = extended(_ALWAYS, header)  # noqa: SLF001  another of this class
        return other

    def under_key(self, key: str) -> Caller:
        """The same caller, whose SendMessage with returnImmediately or SendStreamingMessage begins one task under `key`.

        Repeated to the same agent, it gives that task, as long as the agent keeps it. `key` is 1 to 128 of
        `A-Z a-z 0-9 . _ : -`, new for each task; repeat exactly the same message. One with large parts cannot be
        repeated: they are stored anew each time, which makes it another message.
        """
        other = copy.copy(self)
        other._always = extended(self._always, {names.IDEMPOTENCY_KEY: key})  # noqa: SLF001  another of this class
        return other

    async def send_message(
        self, agent: str, request: a2a.SendMessageRequest, *, timeout_s: float = 60
    ) -> a2a.SendMessageResponse:
        """Ask, and wait for the answer: a message, or a task that has ended, waits, or was told to return."""
        return await self.call(agent, "SendMessage", request, a2a.SendMessageResponse, timeout_s=timeout_s)

    async def get_task(self, agent: str, task: str, *, timeout_s: float = 10) -> a2a.Task:
        """The current state of one of this caller's tasks."""
        return await self.call(agent, "GetTask", a2a.GetTaskRequest(id=task), a2a.Task, timeout_s=timeout_s)

    async def get_card(
        self, agent: str, *, timeout_s: float = 5, key_of: Callable[[str], str] | None = None
    ) -> a2a.AgentCard:
        """What the agent says of itself to known callers; with `key_of`, only when it signed that.

        `key_of` gives the public nkey of an agent, as `AgentKeys(path).of` does.

        Raises:
            CardNotTrusted: the card is not signed with that key, or the key is not known; the trail has the reason.
        """
        request = a2a.GetExtendedAgentCardRequest()
        card = await self.call(agent, "GetExtendedAgentCard", request, a2a.AgentCard, timeout_s=timeout_s)
        if key_of is not None:
            self._require_signed(agent, card, key_of)
        return card

    def _require_signed(self, agent: str, card: a2a.AgentCard, key_of: Callable[[str], str]) -> None:
        try:
            verify_card(card, agent=agent, public_key=key_of(agent))
        except CardNotTrusted as error:
            self._emit("card.refused", action="verify", resource=agent, outcome="denied", reason=str(error))
            raise

    async def cancel_task(self, agent: str, task: str, *, timeout_s: float = 15) -> a2a.Task:
        """Stop one of this caller's tasks; returns it as canceled."""
        return await self.call(agent, "CancelTask", a2a.CancelTaskRequest(id=task), a2a.Task, timeout_s=timeout_s)

    async def list_tasks(
        self, agent: str, request: a2a.ListTasksRequest | None = None, *, timeout_s: float = 10
    ) -> a2a.ListTasksResponse:
        """A page of this caller's tasks, the one that changed last first."""
        wanted = request or a2a.ListTasksRequest()
        return await self.call(agent, "ListTasks", wanted, a2a.ListTasksResponse, timeout_s=timeout_s)

    def subscribe_to_task(
        self, agent: str, task: str, *, last_event: int | None = None
    ) -> AsyncGenerator[a2a.StreamResponse, None]:
        """Follow a task: as it stands and then its updates, or only what comes after update `last_event`."""
        return self.stream(agent, "SubscribeToTask", a2a.SubscribeToTaskRequest(id=task), last_event=last_event)

    async def stream(
        self,
        agent: str,
        operation: str,
        request: a2a.A2AObject,
        *,
        last_event: int | None = None,
        timeout_s: float = 60,
    ) -> AsyncGenerator[a2a.StreamResponse, None]:
        """The answers of a streaming operation, each once and in order, until the task ends or waits for somebody.

        A stream that broke (a lost frame, a silence, an instance that ended, a consumer that was too slow) is
        taken up again where it stopped. `timeout_s` is for the first answer, which alone counts for the breaker.

        Raises:
            A2AError: what the agent answered; Unavailable when the stream could not be taken up for a minute.
        """
        place = Place(operation, await payload_of(self._parts, agent, request), last_event)
        timeout_s = chain.within(timeout_s)
        with self.breakers.attempt(agent) as attempt, self._shares.of(agent, operation, request) as share:
            while True:
                try:
                    async with aclosing(self._frames(agent, place, timeout_s, share.headers())) as frames:
                        async for message in frames:
                            response = read_answer(message, a2a.StreamResponse)
                            if MARK in message.data:
                                response = await whole_of(self._parts, agent, response)
                            attempt.answered()
                            place.passed(message, response)
                            share.answered(response)
                            yield response
                except (Broken, Unavailable, DeadlineExceeded) as error:
                    await place.take_up(error)
                else:
                    return

    async def _frames(
        self, agent: str, place: Place, timeout_s: float, more: dict[str, str]
    ) -> AsyncGenerator[Msg, None]:
        timeout_s = chain.within(timeout_s)
        here = trace.current() or trace.new_trace()
        event = self._emit("request.sent", action=place.operation, resource=agent, payload=place.payload)
        subject, reply = self._replies.way(agent, place.operation)
        here = here.caused_by(event) if event else here
        carried = here.headers() | chain.headers() | _deadline(chain.deadline_ms(timeout_s)) | place.headers()
        headers = extended(self._always, carried | more)
        try:
            with self._replies.many(subject, reply) as frames:
                await self._connection.publish(subject, place.payload, reply=reply, headers=headers)
                silence_s = timeout_s
                while (message := await frames.next(silence_s)) is not None:
                    yield message
                    silence_s = SILENCE_S
        finally:
            self._emit("request.completed", action=place.operation, resource=agent, trace=here)

    async def leave_task(
        self,
        agent: str,
        request: a2a.SendMessageRequest,
        *,
        key: str = "",
        within_s: float | None = None,
        not_before: datetime.datetime | None = None,
    ) -> str:
        """Store a task for the agent, which may be down; returns the task's id.

        A task that is not done `within_s` seconds from now is cancelled, or not begun at all, and fails.
        It is not begun before the moment `not_before`, at most 30 days away; one that has passed changes nothing.
        `key` makes repeating harmless for two minutes: the same caller, agent and key is one task.

        Raises:
            InvalidArgument: `not_before` is without a time zone, too far away, or not before the end of `within_s`.
            UnknownOutcome: no acknowledgement came; repeat with the same key.
            Unavailable: nothing was stored; the server is away, or the stream or the room for large parts is full.
            RateLimited: nothing was stored; as many tasks of this caller for this agent are stored as may be.
        """
        here = trace.current() or trace.new_trace()
        headers = here.headers() | chain.headers()
        if within_s is not None:
            headers |= _deadline(int((time.time() + within_s) * 1000))
        if not_before is not None:
            headers |= not_before_header(not_before, within_s)
        if key:
            headers[names.MSG_ID] = message_id(self._connection.profile.credential, self._name, agent, key)
        subject = str(subjects.Task(agent, self._name))
        keep_s = MONTH_S if not_before is None else 2 * MONTH_S  # put off for a month at most
        payload = await payload_of(self._parts, agent, request, keep_s=keep_s)
        with self._shares.of(agent, "SendMessage", request) as share:
            block = extended(self._always, headers | share.headers())
            try:
                task = task_id(await store(self._connection, subject, payload, headers=block))
            except ApiError as error:
                raise refusal(error, self._name, agent) from None
        self._emit("task.submitted", action="task", resource=f"{agent}/{task}", payload=payload, trace=here)
        return task

    async def call[T](
        self, agent: str, operation: str, request: a2a.A2AObject, answer: type[T], *, timeout_s: float
    ) -> T:
        """One operation.

        Raises:
            A2AError: what the agent answered, as its class; Unavailable at once when nobody serves it, or it failed again
                and again (`bus.requests.breaker`); DeadlineExceeded when no answer came in time; InvalidAgentResponse when it cannot be read.
        """
        timeout_s = chain.within(timeout_s)
        with self.breakers.attempt(agent):
            return await self._call(agent, operation, request, answer, timeout_s)

    async def _call[T](
        self, agent: str, operation: str, request: a2a.A2AObject, answer: type[T], timeout_s: float
    ) -> T:
        here = trace.current() or trace.new_trace()
        payload = protojson.encode(request)
        if len(payload) > MUCH_BYTES:
            payload = await payload_of(self._parts, agent, request)
        started = time.perf_counter()
        event = self._emit("request.sent", action=operation, resource=agent, payload=payload)
        here = here.caused_by(event) if event else here
        try:
            with self._shares.of(agent, operation, request) as share:
                message = await self._ask(agent, operation, payload, here, timeout_s, share.headers())
                result = read_answer(message, answer)
                share.answered(result)
            if MARK in message.data:
                result = await whole_of(self._parts, agent, result)
        except A2AError as error:
            outcome: Outcome = "denied" if error.fault == "caller" else "failure"
            self._emit(
                "request.completed", action=operation, resource=agent, outcome=outcome, reason=error.reason,
                duration_ms=_ms(started), trace=here,
            )  # fmt: skip
            raise
        self._emit(
            "request.completed", action=operation, resource=agent, payload=message.data, duration_ms=_ms(started),
            trace=here,
        )  # fmt: skip
        return result

    async def _ask(
        self, agent: str, operation: str, payload: bytes, here: trace.Trace, timeout_s: float, more: dict[str, str]
    ) -> Msg:
        subject, reply = self._replies.way(agent, operation)
        carried = here.headers() | chain.headers() | _deadline(chain.deadline_ms(timeout_s)) | more
        headers = extended(self._always, carried)
        with self._replies.one(agent, subject, reply, timeout_s) as waiting:
            await self._connection.publish(subject, payload, reply=reply, headers=headers)
            return await waiting

    def _on_breaker(self, agent: str, state: State, reason: str) -> None:
        kind = _BREAKER_KINDS[state]
        _log.warning(f"bus.{kind.replace('.', '_')}", agent=agent, reason=reason)
        try:
            self._emit(kind, action="ask", resource=agent, outcome=_BREAKER_OUTCOMES[state], reason=reason)
        except AuditUnavailable as error:
            _log.error("bus.not_audited", kind=kind, reason=str(error))

    def _emit(self, kind: str, **facts: Unpack[Facts]) -> str:
        return self._audit.emit(kind, **facts) if self._audit else ""


_BREAKER_KINDS: dict[State, str] = {
    "closed": "breaker.closed", "open": "breaker.opened", "half-open": "breaker.half_opened"
}  # fmt: skip
_BREAKER_OUTCOMES: dict[State, Outcome] = {"closed": "success", "open": "failure", "half-open": "unknown"}
_ALWAYS = encode({names.A2A_VERSION: a2a.PROTOCOL_VERSION, names.CONTENT_TYPE: a2a.MEDIA_TYPE})


def _deadline(deadline_ms: int) -> dict[str, str]:
    return {names.DEADLINE: str(deadline_ms)}


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
