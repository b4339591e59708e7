"""What answers a message, and the first way: typed skills in Python. The other one, a model, is `model_answers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from agents.context import SKILL_KEY, Context
from agents.remembering import Remembering
from agents.runtime.loading.typed import read_input, write_output
from agents.skill import Skill
from bus.tasks.states import joined
from schemas import a2a
from schemas.errors import FieldViolation, InvalidAgentResponse, InvalidArgument

if TYPE_CHECKING:
    from agents.llm import Provider
    from bus.sessions import SessionStore


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
    """Runs the skill that the message names, or the first one, with what `memory_of` gives for its request."""

    def __init__(self, skills: Sequence[Skill], memory_of: Callable[[Context], Remembering] | None = None) -> None:
        self._memory_of = memory_of
        self._skills: Mapping[str, Skill] = {skill.id: skill for skill in skills}
        self._default = skills[0]

    async def answer(self, context: Context) -> tuple[a2a.Part, ...]:
        """See `Answering.answer`."""
        skill = named(context.message, self._skills, self._default)
        request = read_input(context.message, skill.input)
        if self._memory_of is not None:
            context = msgspec.structs.replace(context, memory=self._memory_of(context))
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


@dataclass(frozen=True, slots=True)
class Outside:
    """What takes the place of the world outside of the process, in the trials of authors; nothing unless it is given."""

    provider: Provider | None = None
    """Answers instead of the models that the file names."""
    sessions: SessionStore | None = None


NOTHING: Final = Outside()
