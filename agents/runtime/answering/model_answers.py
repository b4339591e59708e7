"""The second way to answer: a model with tools."""

from __future__ import annotations

import contextlib
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import msgspec

from agents import llm
from agents.context import Context, Work
from agents.loop import (
    Bounds,
    Conversation,
    Journal,
    Layer,
    Models,
    NotKept,
    Outlet,
    Progress,
    Reflection,
    ResultCache,
    Unheard,
    Way,
    converse,
    runner,
    steps_on,
)
from agents.memory import Memories, Memory, Told
from agents.runtime.answering.answers import named
from agents.runtime.answering.failures import for_caller
from agents.runtime.answering.guard import Guard
from agents.runtime.loading.declared import Declared, kept_in, text_of, turns_of
from agents.runtime.loading.typed import write_output
from agents.runtime.tasks.kept_turns import KeptTurns, without_asking
from agents.safety.fence import INSTRUCTION
from agents.tools.approval import earlier
from agents.tools.toolbox import Toolbox
from bus.audit.emit import Audit
from bus.sessions import SessionStore
from bus.tasks.states import StaleTask
from schemas import a2a
from schemas.agent import AgentFile, Llm
from schemas.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What all conversations of one agent share."""

    pool: llm.Pool
    toolbox: Toolbox
    memories: Memories
    store: SessionStore
    audit: Audit
    layers: tuple[Layer, ...]
    cache: ResultCache = field(default_factory=ResultCache)


class ModelAnswering:
    """Asks the pool of models, with the tools the agent's file allows. `opened` is closed with it."""

    def __init__(self, file: AgentFile, section: Llm, equipment: Equipment, opened: AsyncExitStack) -> None:
        of_fences = INSTRUCTION if equipment.toolbox else ""
        skills = [Declared(skill) for skill in file.agent.skills]
        self._skills = {
            skill.id: (skill, llm.SystemPrompt(section, "\n\n".join(filter(None, (skill.instruction, of_fences)))))
            for skill in skills
        }
        self._default = next(iter(self._skills.values()), (None, llm.SystemPrompt(section, of_fences)))
        self._safety = file.safety
        self._limits = file.budget
        self._equipment = equipment
        self._opened = opened

    async def answer(self, context: Context) -> tuple[a2a.Part, ...]:
        """See `Answering.answer`."""
        skill, prompt = self._default
        if self._skills:
            skill, prompt = named(context.message, self._skills, self._default)
        guard = Guard(self._safety, context, self._equipment.audit)
        guard.admit()
        await self._equipment.toolbox.settled()
        question = skill.question(context.message) if skill else text_of(context.message)
        ear = _Ear(context, guard)
        first = llm.UserTurn(text=question, kept=kept_in(context.message))
        talk = self._conversation(context, prompt, ear, _outlet_of(context.work, skill))
        try:
            talk = await self._taken_up(talk, ear, first)
            reply = await converse(talk)
        except llm.LlmError as error:
            await _rest(talk.journal)
            raise for_caller(error) from None
        except NotKept as error:
            raise Unavailable(str(error), retry_after_s="5") from None
        return skill.answer(reply.text) if skill else write_output(reply.text)

    async def _taken_up(self, talk: Conversation, ear: _Ear, first: llm.UserTurn) -> Conversation:
        """The conversation from where an earlier run of its task left it, with what people have decided since."""
        context = talk.models.context
        progress, begun_with, told = Progress(), len(context.history), 0
        if context.work.is_durable:
            journal = KeptTurns(self._equipment.store, context, ear.count)
            kept = await journal.begin()
            context.work.when_over(journal.forget)
            ear.begin(kept.heard)
            progress, begun_with, told = kept.progress, kept.first, kept.asked
            talk = replace(talk, journal=journal)
        decided = (await earlier(context))[2 * told :]  # two turns each: what was asked for, and what became of it
        if decided:
            progress = without_asking(progress)
            progress = msgspec.structs.replace(progress, turns=progress.turns + decided)
        asked = ear.guard.turns((first, *turns_of(context.history[1:begun_with])))
        return replace(talk, turns=asked, begun=progress)

    def _conversation(self, context: Context, prompt: llm.SystemPrompt, ear: _Ear, outlet: Way) -> Conversation:
        with_, limits = self._equipment, self._limits
        models = Models(
            context=context,
            pool=with_.pool,
            budget=context.budget,
            layers=with_.layers,
            guards=(with_.toolbox, ear.guard),
        )
        return Conversation(
            models=models,
            prompt=prompt,
            turns=(),
            rows=with_.toolbox.rows,
            run_tool=runner(with_.audit),
            memory=self._memory_of(models, prompt),
            bounds=Bounds(limits.max_iterations, limits.max_tool_calls),
            hear=ear.heard,
            outlet=outlet,
            cache=with_.cache,
            reflection=Reflection(with_.audit),
            on_step=steps_on(with_.audit, context.agent, context.caller),
        )

    def _memory_of(self, models: Models, prompt: llm.SystemPrompt) -> Memory:
        with_ = self._equipment
        return with_.memories.of(models.context, Told(prompt, with_.toolbox.tools, models.ask))

    async def close(self) -> None:
        """Let go of what was opened for it: the providers' connections, and what tools and memory hold."""
        await self._opened.aclose()


async def _rest(journal: Journal) -> None:
    """Say that this run has ended in order. Where that cannot be stored, the next one takes it for one that was cut short."""
    if isinstance(journal, KeptTurns):
        with contextlib.suppress(NotKept, StaleTask):
            await journal.rest()


def _outlet_of(work: Work, skill: Declared | None) -> Way:
    """Where the text goes as it comes: to the task, if there is one. What has to match a schema is given as a whole."""
    if not work.task or (skill is not None and not skill.gives_text):
        return Unheard()

    async def give(parts: tuple[a2a.Part, ...], anew: bool) -> None:  # noqa: FBT001  as `Outlet` calls it
        await work.give(parts, anew=anew)

    return Outlet(give)


class _Ear:
    """Hears what is added to a task. Begin it before anything is awaited: what comes later is told once."""

    def __init__(self, context: Context, guard: Guard) -> None:
        self._context = context
        self.guard = guard
        self._heard = len(context.history)

    def begin(self, heard: int) -> None:
        """So many messages of the task are in the turns that an earlier run left."""
        self._heard = heard

    def count(self) -> int:
        """How many messages of the task were heard by now."""
        return self._heard

    def heard(self) -> tuple[llm.Turn, ...]:
        """What came since the last time."""
        history = self._context.history
        new, self._heard = history[self._heard :], len(history)
        return self.guard.turns(turns_of(new))
