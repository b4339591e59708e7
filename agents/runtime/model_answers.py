"""The second way to answer: a model with tools."""

from __future__ import annotations

from agents import llm
from agents.context import Context
from agents.memory import Forgetful, Memories, Memory, Told
from agents.runtime.answers import named
from agents.runtime.declared import Declared, text_of, turns_of
from agents.runtime.typed import write_output
from agents.tools.catalogue import Toolbox
from agents.tools.propose_change import earlier
from schemas import a2a
from schemas.agent import AgentFile
from schemas.errors import Unavailable


class ModelAnswering:
    """Asks the pool of models, with the tools the agent's file allows."""

    def __init__(self, file: AgentFile, pool: llm.Pool, toolbox: Toolbox, memories: Memories | None = None) -> None:
        if file.llm is None:
            raise ValueError("this agent has no llm section")
        skills = [Declared(skill) for skill in file.agent.skills]
        self._skills = {skill.id: (skill, llm.SystemPrompt(file.llm, skill.instruction)) for skill in skills}
        self._default = next(iter(self._skills.values()), (None, llm.SystemPrompt(file.llm)))
        self._rounds = file.budget.max_iterations
        self._pool = pool
        self._toolbox = toolbox
        self._memories = memories

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
        memory = self._memory_of(context, prompt)
        asked = (llm.UserTurn(text=question), *turns_of(history[1:]), *await earlier(context))
        turns: tuple[llm.Turn, ...] = (*await memory.load(), *asked)
        rounds = self._rounds
        while True:
            turns = await memory.fit(turns)
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
                await memory.save(reply.turns)
                return reply.text
            # Nobody has seen the answer; the next one is to what was asked before as well. Tools that ran stay told.
            turns = reply.turns[:-1] + added
            rounds -= reply.rounds

    def _memory_of(self, context: Context, prompt: llm.SystemPrompt) -> Memory:
        if self._memories is None:
            return Forgetful()
        specs = tuple(tool.spec() for tool in self._toolbox.tools)
        return self._memories.of(context, Told(prompt, specs, self._pool.complete))

    async def close(self) -> None:
        """Close the providers' connections."""
        await self._pool.close()
