"""The third way to answer: a router, which answers nothing itself and passes each message on.

The other agent sees the router as its caller; deadline, trace, chain and budget are carried on, and all that is left
of the budget goes with the message. What the other one answers is the router's answer, piece by piece in a task. An
agent that is away is not asked twice: the next choice is tried, as long as nothing was begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing

import msgspec

from agents.asking import AskedBack, Begun, parts_of
from agents.context import Context
from agents.routing.errors import NobodyAnswered, Unroutable, may_have_begun
from agents.routing.relay import hand_back, hand_on, waiting
from agents.routing.strategies import Choice, Strategy
from agents.safety.provenance import marked
from bus.audit.emit import Audit
from bus.requests import spending
from bus.tasks.states import joined
from schemas import a2a, names
from schemas.agent import Routing
from schemas.errors import A2AError, Unavailable
from schemas.ids import sha256_hex

Parts = tuple[a2a.Part, ...]


class RouterAnswering:
    """See `agents.runtime.answering.answers.Answering`."""

    def __init__(
        self, routing: Routing, strategy: Strategy, audit: Audit, close: Callable[[], Awaitable[None]]
    ) -> None:
        self._routing = routing
        self._strategy = strategy
        self._audit = audit
        self._close = close

    async def answer(self, context: Context) -> Parts:
        """Pass the message on, and its answer back.

        Raises:
            Unroutable: nobody is known for it. NobodyAnswered: those who are known are away.
            A2AError: what the other agent answered with. InputRequired: it asks its caller, who is the router's.
        """
        try:
            return await self._answered(context)
        except AskedBack as back:
            raise hand_on(back) from None

    async def _answered(self, context: Context) -> Parts:
        relayed = waiting(context)
        if relayed is not None:
            with spending.allotted(fraction=spending.ALL):
                return await hand_back(context, relayed, context.remaining_s(self._routing.timeout_s))
        failures: dict[str, A2AError] = {}
        try:
            async with aclosing(self._strategy.choices(context)) as choices:
                async for choice in choices:
                    self._tell(context, choice.agent, len(failures) + 1)
                    try:
                        return await self._passed_on(context, choice)
                    except Unavailable as error:
                        if may_have_begun(error):
                            raise
                        failures[choice.agent] = error
                    if len(failures) == self._routing.max_iterations:
                        break
        except Unroutable as error:
            if not failures:
                self._tell(context, "", 0, error)
                raise
        raise NobodyAnswered(failures)

    async def close(self) -> None:
        """Let go of what the strategy holds."""
        await self._close()

    async def _passed_on(self, context: Context, choice: Choice) -> Parts:
        message = _message_to(choice, context)
        seconds = context.remaining_s(self._routing.timeout_s)
        with spending.allotted(fraction=spending.ALL):
            if not context.work.task:
                return await parts_of(context.calls, choice.agent, message, seconds)
            return await _streamed(context, choice.agent, message, seconds)

    def _tell(self, context: Context, agent: str, tries: int, error: A2AError | None = None) -> None:
        self._audit.emit(
            "request.routed", actor=context.caller, action="route", resource=agent,
            outcome="failure" if error else "success", reason=error.reason if error else "",
            metadata={"strategy": self._routing.strategy, "tries": tries},
        )  # fmt: skip


def _message_to(choice: Choice, context: Context) -> a2a.Message:
    """The caller's message as the router's, in a conversation that no other caller of the router can name."""
    message = context.message
    metadata = {key: value for key, value in message.metadata.items() if key != names.SKILL_KEY}
    return a2a.Message(
        message_id=f"{message.message_id}.{choice.agent}",
        role="ROLE_USER",
        parts=tuple(marked(part, "untrusted") for part in message.parts),
        context_id=f"c-{sha256_hex(f'{context.caller}/{context.context_id}'.encode())[:32]}",
        metadata=metadata | ({names.SKILL_KEY: choice.skill} if choice.skill else {}),
        extensions=message.extensions,
    )


async def _streamed(context: Context, agent: str, message: a2a.Message, timeout_s: float) -> Parts:
    """The answer, given to the router's own task piece by piece; artifacts with a name are added to it.

    Where the other agent begins its answer again, so does the router.
    """
    request = a2a.SendMessageRequest(message=message, configuration=a2a.SendMessageConfiguration(history_length=0))
    task: a2a.Task | None = None
    parts: Parts = ()
    begun = Begun()
    stream = context.calls.stream(agent, "SendStreamingMessage", request, timeout_s=timeout_s)
    async with aclosing(stream) as frames:
        async for frame in frames:
            task = frame.task or task
            given: Parts = frame.message.parts if frame.message is not None else ()
            is_anew = False
            if frame.status_update is not None and task is not None:
                task = msgspec.structs.replace(task, status=frame.status_update.status)
            if frame.artifact_update is not None:
                if frame.artifact_update.artifact.name:
                    await context.work.artifact(frame.artifact_update.artifact)
                else:
                    given, is_anew = frame.artifact_update.artifact.parts, begun.is_anew(frame.artifact_update)
            if given:
                await context.work.give(given, anew=is_anew)
                parts = given if is_anew else parts + given
    if task is not None and task.status.state != a2a.COMPLETED:
        raise AskedBack(agent, task)
    return joined(parts)
