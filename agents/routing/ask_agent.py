"""The tool by which a model asks another agent.

Whom it may ask is decided twice: by the tool's settings here, and by the server, which lets an agent ask those alone
that the fleet file names. Deadline, trace, chain and budget are carried on as with any request of the agent's.
"""

from __future__ import annotations

from typing import Self

import msgspec
from pydantic import Field, JsonValue, model_validator

from agents import llm
from agents.asking import AskedBack, message_to, parts_of
from agents.context import Context
from agents.routing import finding
from agents.routing.errors import may_have_begun
from agents.tools.errors import ToolFailed, ToolRefused
from agents.tools.row import Row
from schemas import a2a
from schemas.agent.routing import AskSettings
from schemas.documents import Document
from schemas.errors import A2AError, Unavailable

NAME = "ask_agent"
_TRIES = 3
"""So many of the agents that a need fits are asked, while each is away and has begun nothing."""
_OF_THE_TIME = 0.95
"""The other agent is told to be done a little before the tool is ended, so that the model hears why."""


class AskAgent(Document):
    """One question to one agent: named, or found by what it has to be able to do."""

    agent: str = Field("", max_length=64, description="the agent's id; leave it out to have one found by need")
    need: str = Field(
        "", max_length=200, description="what the agent must be able to do: a skill's id, a tag, or a few words"
    )
    question: str = Field(min_length=1, max_length=50_000, description="what you ask, complete in itself")
    data: dict[str, JsonValue] | None = Field(
        None, description="what a skill that takes data takes, beside the question"
    )
    skill: str = Field("", max_length=64, description="the id of the agent's skill, if you know it")
    task: str = Field("", max_length=64, description="the task that asked back: then question is your answer to it")

    @model_validator(mode="after")
    def _asks_somebody(self) -> Self:
        if bool(self.agent) == bool(self.need):
            raise ValueError("give either agent or need")
        if self.task and not self.agent:
            raise ValueError("task is answered to its agent: give agent")
        return self


def row_of(settings: AskSettings) -> Row:
    """The tool of an agent with these settings."""
    asking = _Asking(settings)
    tool = llm.Tool(name=NAME, description=_description(settings), input=AskAgent)
    return Row(
        tool, asking.run, has_effects=True, timeout_s=settings.timeout_s, at_once=settings.at_once, provenance="agent"
    )


def _description(settings: AskSettings) -> str:
    whom = f"You may ask: {', '.join(settings.agents)}. " if settings.agents else ""
    return (
        "Ask another agent and get its answer. It knows nothing of this conversation, so say all that it needs. "
        f"{whom}Name the agent, or say in need what it must be able to do and one is found. When it asks back, you are "
        "told the question and the task: call again with agent, task, and your answer as question. "
        "Several calls in one turn are asked at the same time."
    )


class _Asking:
    """What the tool does, with one agent's settings."""

    def __init__(self, settings: AskSettings) -> None:
        self._settings = settings

    async def run(self, arguments: AskAgent, context: Context) -> str:
        """Ask, and return what the model is told.

        Raises:
            ToolRefused: it may not ask that agent. ToolFailed: nobody is known, or the other refused, or its task failed;
                its words are what was found, since they are not ours.
        """
        if not arguments.agent:
            return await self._ask_one_of(arguments, context)
        self._require_allowed(arguments.agent)
        try:
            return await self._ask(arguments, arguments.agent, arguments.skill, context)
        except A2AError as error:
            raise ToolFailed(f"{arguments.agent} gave no answer:", found=error.message) from error

    async def _ask_one_of(self, arguments: AskAgent, context: Context) -> str:
        away: list[str] = []
        for agent, skill in await self._candidates(arguments, context):
            try:
                return await self._ask(arguments, agent, skill, context)
            except Unavailable as error:
                if may_have_begun(error):
                    raise
                away.append(f"{agent}: {error.message}")
            except A2AError as error:
                raise ToolFailed(f"{agent} gave no answer:", found=error.message) from error
        raise ToolFailed(f"nobody who can do {arguments.need!r} answered:", found="; ".join(away))

    async def _candidates(self, arguments: AskAgent, context: Context) -> list[tuple[str, str]]:
        records = await finding.for_need(context, self._settings.directory, arguments.need)
        allowed = self._settings.agents
        fitting = [
            (record.agent, arguments.skill or finding.skill_for(record, arguments.need))
            for record in records
            if record.agent != context.agent and (not allowed or record.agent in allowed)
        ]
        if not fitting:
            known = f"; you may ask: {', '.join(allowed)}" if allowed else ""
            raise ToolFailed(f"no agent is online that can do {arguments.need!r}; try other words, or name one{known}")
        return fitting[:_TRIES]

    def _require_allowed(self, agent: str) -> None:
        allowed = self._settings.agents
        if allowed and agent not in allowed:
            raise ToolRefused(f"you may not ask {agent!r}; you may ask: {', '.join(allowed)}")

    async def _ask(self, arguments: AskAgent, agent: str, skill: str, context: Context) -> str:
        message = message_to(agent, arguments.question, skill=skill, cause=context.message)
        if arguments.data is not None:
            data = a2a.Part(data=arguments.data, media_type="application/json")
            message = msgspec.structs.replace(message, parts=(*message.parts, data))
        if arguments.task:
            message = msgspec.structs.replace(message, task_id=arguments.task)
        seconds = context.remaining_s(self._settings.timeout_s * _OF_THE_TIME)
        try:
            return spoken(await parts_of(context.calls, agent, message, seconds))
        except AskedBack as back:
            return _told(back)


def _told(back: AskedBack) -> str:
    """What the model is told of a task that waits for an answer.

    Raises:
        ToolFailed: it waits for nobody, or for others.
    """
    if back.task.status.state == a2a.INPUT_REQUIRED:
        return (
            f"{back.agent} asks back, task {back.task.id}: {back.question}\n"
            f"(Answer with {NAME}: agent {back.agent}, task {back.task.id}, question: your answer.)"
        )
    raise ToolFailed(back.message, found=back.question)


def spoken(parts: tuple[a2a.Part, ...]) -> str:
    """An answer as text: its texts, and its data as JSON; of files, what they are."""
    return "\n".join(map(_spoken, parts))


def _spoken(part: a2a.Part) -> str:
    if isinstance(part.text, str):
        return part.text
    if part.data is not msgspec.UNSET:
        return msgspec.json.encode(part.data).decode()
    size = f"{len(part.raw)} bytes" if isinstance(part.raw, bytes) else "elsewhere"
    return f"[a file, {part.media_type or 'of no stated type'}, {size}; it is not shown]"
