"""The two ways an agent answers: typed skills in Python, or a model with tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agents import llm
from agents.context import SKILL_KEY, Context
from agents.runtime.declared import Declared, text_of, turns_of
from agents.runtime.typed import read_input, write_output
from agents.skill import Skill
from agents.tools.catalogue import Toolbox
from agents.tools.propose_change import earlier
from bus.tasks.states import joined
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
        skill = named(context.message, self._skills, self._default)
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


def named[S](message: a2a.Message, skills: Mapping[str, S], default: S) -> S:
    """The skill that a message is for.

    Raises:
        InvalidArgument: there is none of that name; says which there are.
    """
    wanted = message.metadata.get(SKILL_KEY)
    if wanted is None:
        return default
    skill = skills.get(str(wanted))
    if skill is None:
        known = ", ".join(sorted(skills))
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
        skills = [Declared(skill) for skill in file.agent.skills]
        self._skills = {skill.id: (skill, llm.SystemPrompt(file.llm, skill.instruction)) for skill in skills}
        self._default = next(iter(self._skills.values()), (None, llm.SystemPrompt(file.llm)))
        self._rounds = file.limits.max_tool_rounds
        self._pool = pool
        self._toolbox = toolbox

    async def answer(self, context: Context) -> tuple[a2a.Part, ...]:
        """See `Answering.answer`."""
        skill, prompt = self._default
        if self._skills:
            skill, prompt = named(context.message, self._skills, self._default)
        question = skill.question(context.message) if skill else text_of(context.message)
        text = await self._said(context, prompt, question)
        return skill.answer(text) if skill else write_output(text)

    async def _said(self, context: Context, prompt: llm.SystemPrompt, question: str) -> str:
        """The answer to all that was said in the task, also while the model was at it."""
        history = context.history
        turns: tuple[llm.Turn, ...] = (llm.UserTurn(text=question), *turns_of(history[1:]), *await earlier(context))
        rounds = self._rounds
        while True:
            try:
                reply = await llm.converse(
                    self._pool, prompt, turns, self._toolbox.tools, self._toolbox.runner(context), rounds
                )
            except llm.LlmError as error:
                raise Unavailable(f"no model could answer: {error}") from None
            heard = len(history)
            history = context.history
            added = turns_of(history[heard:])
            if not added:
                return reply.text
            # Nobody has seen the answer; the next one is to what was asked before as well. Tools that ran stay told.
            turns = reply.turns[:-1] + added
            rounds -= reply.rounds

    async def close(self) -> None:
        """Close the providers' connections."""
        await self._pool.close()
