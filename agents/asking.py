"""How a skill asks other agents: for an answer, for one in pieces, and on, when the other one asks back.

Behind `Context.ask`, `Context.ask_stream` and `Context.reply`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from agents.runtime.loading.typed import read_input, write_output
from schemas import a2a, names
from schemas.errors import InvalidAgentResponse, InvalidArgument

if TYPE_CHECKING:  # a check of an agent's files opens no connection, and is not to import what does
    from bus.requests.caller import Caller


class Ask(msgspec.Struct, frozen=True):
    """One question of several that are asked at once; the fields are those of `Context.ask`."""

    agent: str
    what: Any
    answer: type[Any] = str
    skill: str = ""
    timeout_s: float = 60
    budget_usd: Decimal | None = None


class AskedBack(InvalidAgentResponse):
    """The other agent's task is not done: it waits for an answer, or has ended otherwise.

    `question` is what it said. `Context.reply` goes on with it where `task.status.state` is INPUT_REQUIRED. One that
    is not caught ends the skill as INVALID_AGENT_RESPONSE does.
    """

    def __init__(self, agent: str, task: a2a.Task) -> None:
        state = task.status.state.removeprefix("TASK_STATE_").lower()
        super().__init__(f"{agent} answered with a task that is {state}: {task.id}")
        self.agent = agent
        self.task = task
        self.question = task.status.message.text() if task.status.message else ""


class Restarted(msgspec.Struct, frozen=True):
    """What a stream gave before is void: the answer begins again. It may do so more than once."""


class Begun:
    """The artifacts of an answer that have begun: an update that does not append begins one again, without what it had."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def is_anew(self, update: a2a.TaskArtifactUpdateEvent) -> bool:
        """Whether what this artifact gave before is void."""
        is_known = update.artifact.artifact_id in self._ids
        self._ids.add(update.artifact.artifact_id)
        return is_known and not update.append


def message_to(agent: str, what: Any, *, skill: str = "", cause: a2a.Message) -> a2a.Message:
    """A message of text or data, sent at work on `cause`."""
    return a2a.Message(
        message_id=f"{cause.message_id}.{agent}",
        role="ROLE_USER",
        parts=write_output(what),
        metadata={names.SKILL_KEY: skill} if skill else {},
    )


async def answer_of(calls: Caller, agent: str, message: a2a.Message, kind: type[Any], timeout_s: float) -> Any:
    """What the agent answers, as a `kind`.

    Raises:
        A2AError: what it refused with. AskedBack: its task is not done. InvalidAgentResponse: it is no `kind`.
    """
    return _read(agent, _said(await parts_of(calls, agent, message, timeout_s)), kind)


async def parts_of(calls: Caller, agent: str, message: a2a.Message, timeout_s: float) -> tuple[a2a.Part, ...]:
    """What the agent answers, as it is.

    Raises:
        A2AError: what it refused with. AskedBack: its task is not done.
    """
    response = await calls.send_message(agent, a2a.SendMessageRequest(message=message), timeout_s=timeout_s)
    if response.message is not None:
        return response.message.parts
    task = response.task
    assert task is not None  # noqa: S101  a response has one of the two
    if task.status.state != a2a.COMPLETED:
        raise AskedBack(agent, task)
    return tuple(part for artifact in task.artifacts if not artifact.name for part in artifact.parts)


async def pieces_of(
    calls: Caller, agent: str, message: a2a.Message, kind: type[Any], timeout_s: float
) -> AsyncGenerator[Any, None]:
    """The pieces of the agent's answer as they come, and a `Restarted` wherever those before it are void.

    Artifacts with a name are no pieces of it. Raises as `answer_of`.
    """
    request = a2a.SendMessageRequest(message=message, configuration=a2a.SendMessageConfiguration(history_length=0))
    task: a2a.Task | None = None
    begun = Begun()
    stream = calls.stream(agent, "SendStreamingMessage", request, timeout_s=timeout_s)
    async with aclosing(stream) as frames:
        async for frame in frames:
            task = frame.task or task
            if frame.message is not None:
                yield _read(agent, frame.message, kind)
            if frame.status_update is not None and task is not None:
                task = a2a.Task(id=task.id, context_id=task.context_id, status=frame.status_update.status)
            if frame.artifact_update is not None and not frame.artifact_update.artifact.name:
                if begun.is_anew(frame.artifact_update):
                    yield Restarted()
                yield _read(agent, _said(frame.artifact_update.artifact.parts), kind)
    if task is not None and task.status.state != a2a.COMPLETED:
        raise AskedBack(agent, task)


def _said(parts: tuple[a2a.Part, ...]) -> a2a.Message:
    return a2a.Message(message_id="", role="ROLE_AGENT", parts=parts)


def _read(agent: str, message: a2a.Message, kind: type[Any]) -> Any:
    try:
        return read_input(message, kind)
    except InvalidArgument as error:
        wrong = "; ".join(f"{each.field}: {each.description}" for each in error.violations)
        raise InvalidAgentResponse(f"{agent} answered with something else than {kind.__name__}: {wrong}") from None
