"""The two ways an agent answers: typed skills in Python, or a model with tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agents import llm
from agents.context import SKILL_KEY, Context
from agents.runtime.typed import read_input, write_output
from agents.skill import Skill
from agents.tools.catalogue import Toolbox
from bus.tasks import joined
from schemas import a2a
from schemas.agent import AgentFile
from schemas.errors import FieldViolation, InvalidAgentResponse, InvalidArgument, Unavailable


class Answering(Protocol):
    """Whatever turns a message into the parts of an answer."""

    async def answer(self, context: Context) -> tuple[a2a.Part, ...]:
        """Answer `context.message`.

        Raises:
            A2AError: for the caller; anything else is a defect of the agent and reaches the caller as Internal.
        """

    async def close(self) -> None:
        """Let go of what it holds."""


class SkillAnswering:
    """Runs the skill that the message names, or the first one."""

    def __init__(self, skills: Sequence[Skill]) -> None:
        self._skills: Mapping[str, Skill] = {skill.id: skill for skill in skills}
        self._default = skills[0]

    async def answer(self, context: Context) -> tuple[a2a.Part, ...]:
        """See `Answering.answer`."""
        skill = self._named(context.message)
        request = read_input(context.message, skill.input)
        answer: Any = skill.function(request, context)
        if not skill.is_streaming:
            return _checked(skill, await answer)
        parts: tuple[a2a.Part, ...] = ()
        async for piece in answer:
            given = _checked(skill, piece)
            await context.work.give(given)
            parts += given
        return joined(parts)

    async def close(self) -> None:
        """Functions hold nothing."""

    def _named(self, message: a2a.Message) -> Skill:
        wanted = message.metadata.get(SKILL_KEY)
        if wanted is None:
            return self._default
        skill = self._skills.get(str(wanted))
        if skill is None:
            known = ", ".join(sorted(self._skills))
            violation = FieldViolation(f"message.metadata.{SKILL_KEY}", f"known skills: {known}")
            raise InvalidArgument(f"there is no skill {str(wanted)[:70]!r}; known: {known}", violations=(violation,))
        return skill


def _checked(skill: Skill, result: Any) -> tuple[a2a.Part, ...]:
    if not isinstance(result, skill.output):
        raise InvalidAgentResponse(f"skill {skill.id} gave a {type(result).__name__}, not a {skill.output.__name__}")
    return write_output(result)


class ModelAnswering:
    """Asks the pool of models, with the tools the agent's file allows."""

    def __init__(self, file: AgentFile, pool: llm.Pool, toolbox: Toolbox) -> None:
        if file.llm is None:
            raise ValueError("this agent has no llm section")
        self._prompt = llm.SystemPrompt(file.llm)
        self._rounds = file.limits.max_tool_rounds
        self._pool = pool
        self._toolbox = toolbox

    async def answer(self, context: Context) -> tuple[a2a.Part, ...]:
        """See `Answering.answer`."""
        text = context.message.text()
        if not text:
            violation = FieldViolation("message.parts", "no text")
            raise InvalidArgument("this agent answers text", violations=(violation,))
        turns = (llm.UserTurn(text=text),)
        try:
            reply = await llm.converse(
                self._pool, self._prompt, turns, self._toolbox.tools, self._toolbox.runner(context), self._rounds
            )
        except llm.LlmError as error:
            raise Unavailable(f"no model could answer: {error}") from None
        return write_output(reply.text)

    async def close(self) -> None:
        """Close the providers' connections."""
        await self._pool.close()
