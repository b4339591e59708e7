"""The models of one agent, in order of preference: the first that can answer does.

What a model fails with decides what is done next, by the one table in `rules`; a model whose breaker is
open is passed over. Retries happen here and nowhere else: the providers' clients try nothing again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Self

import msgspec

from agents.llm.budget import Budget
from agents.llm.conversation import Answer, Completion
from agents.llm.counting import tokens_of
from agents.llm.deltas import Delta, Finished, PoolDelta, SwitchedOver, TextDelta, whole_of
from agents.llm.errors import KeyMissing, LlmError
from agents.llm.outgoing import without_secrets
from agents.llm.providers.base import Provider
from schemas.agent import ModelChoice, ResponseCache

from .cache import Answers
from .call import ask
from .circuit import Circuit
from .failover import Account, Clock, Failover
from .member import Member, keyed
from .report import OnCall, ignore
from .trying import Trying


async def _at_once(_: float) -> None:
    """Wait for nothing."""


class Pool:
    """Answers completions with the first choice that can. Make it with `from_choices`; close it when done."""

    def __init__(
        self,
        members: tuple[Member, ...],
        request_timeout_s: float,
        on_call: OnCall,
        failover: Failover,
        cache: ResponseCache | None = None,
    ) -> None:
        self._members = members
        self._on_call = on_call
        self._failover = failover
        self._cache = Answers(cache, failover.clock.now) if cache else None
        self.request_timeout_s = request_timeout_s
        """The limit that the loop gives each completion; each choice that is tried gets it in full."""

    @classmethod
    def from_choices(
        cls,
        choices: Iterable[ModelChoice],
        *,
        request_timeout_s: float = 60.0,
        on_call: OnCall = ignore,
        environment: Mapping[str, str] | None = None,
        failover: Failover | None = None,
        cache: ResponseCache | None = None,
    ) -> Self:
        """Resolve the keys of all choices now, open no provider yet. `on_call` must neither block nor raise.

        A choice without its key is left out, with a line in the log, where it says `when_key_is_missing: skip`.

        Raises:
            KeyMissing: a key is missing and its choice says `fail`, or no choice is left.
            KeyUnsafe: a key is there and may not be used; `skip` does not apply.
            ExtraMissing: the package of a choice that is not left out is not installed.
        """
        settings = failover or Failover()
        usable = list(filter(None, (keyed(choice, environment) for choice in choices)))
        if not usable:
            raise KeyMissing("no model is left in llm.pool: set a key, or add {provider: offline} as the last choice")
        circuits: dict[Account, Circuit] = {}
        members = tuple(Member(one, key, settings.circuit_of(one, circuits), settings) for one, key in usable)
        return cls(members, request_timeout_s, on_call, settings, cache)

    @classmethod
    def of(
        cls, provider: Provider, *, request_timeout_s: float = 60.0, on_call: OnCall = ignore, failover: Failover
    ) -> Self:
        """One provider that is open already and costs nothing, under the name `offline`; never waits: for authors' tests."""
        choice = ModelChoice(provider="offline")
        failover = replace(failover, clock=Clock(sleep=_at_once))
        member = Member(choice, None, failover.circuit_of(choice, {}), failover, provider)
        return cls((member,), request_timeout_s, on_call, failover)

    @property
    def choices(self) -> tuple[ModelChoice, ...]:
        """The choices that are in use, in order."""
        return tuple(member.choice for member in self._members)

    @property
    def probes(self) -> tuple[asyncio.Task[None], ...]:
        """The looks at providers that were away which go on now."""
        return tuple(member.probe for member in self._members if member.probe is not None)

    async def stream(
        self, completion: Completion, budget: Budget | None = None, *, can_compact: bool = False
    ) -> AsyncGenerator[PoolDelta]:
        """Pieces of text as they come, then one `Finished`; takes up to `timeout_s` for each choice.

        Where a model fails after a piece of its text was given, `SwitchedOver` comes before the first piece of
        the model that answers from the start. Close the generator (`contextlib.aclosing`) to end the HTTP request
        with it. `can_compact`: the caller can shorten the conversation, so an overflow is its to deal with;
        otherwise a model with a larger window is asked.

        Raises:
            AllFailed: no choice answered; it lists the causes.
            ContextOverflow: the conversation is too long for every choice, or (`can_compact`) for the first.
            BudgetExhausted: `budget` does not have what any choice can cost.
            RequestMalformed: the request itself is wrong, so no other choice was asked.
            PoolUnusable: a provider could not be opened, or the prompt holds a secret.
        """
        clean = without_secrets(completion)
        kept = self._cache.find(clean) if self._cache else None
        if kept:
            self._on_call(kept.report())
            if kept.answer.text:
                yield TextDelta(kept.answer.text)
            yield Finished(kept.answer)
            return
        async with aclosing(self._asked(Trying(clean, budget, can_compact=can_compact))) as deltas:
            async for delta in deltas:
                yield delta

    async def complete(
        self, completion: Completion, budget: Budget | None = None, *, can_compact: bool = False
    ) -> Answer:
        """The whole answer. Takes and raises what `stream` does."""
        return await whole_of(self.stream(completion, budget, can_compact=can_compact))

    async def count_tokens(self, completion: Completion) -> int:
        """The tokens of the question: by the first choice's provider where it counts, else an estimate, rather too many."""
        counted = await self._members[0].count(completion)
        return tokens_of(completion) if counted is None else counted

    async def close(self) -> None:
        """Close every provider that was opened. A later completion opens them again."""
        await asyncio.gather(*(member.close() for member in self._members))

    async def _asked(self, trying: Trying) -> AsyncGenerator[PoolDelta]:
        for member in self._members:
            if not await trying.fits(member):
                continue
            async with aclosing(self._answers(member, trying)) as deltas:
                async for delta in deltas:
                    if trying.voided_by:
                        yield SwitchedOver(member.choice.provider, member.choice.model, trying.voided_by)
                        trying.voided_by = None
                    trying.is_begun = True
                    if self._cache and isinstance(delta, Finished):
                        self._cache.keep(trying.completion, delta.answer, member.choice)
                    yield delta
            if trying.is_answered:
                return
        raise trying.error()

    async def _answers(self, member: Member, trying: Trying) -> AsyncGenerator[Delta]:
        """One member's answer, asked again as often as the rules and the time allow; nothing where it has none."""
        clock = self._failover.clock
        deadline = clock.now() + trying.completion.timeout_s
        for tries in range(1, 10):
            admitted = member.circuit.enter()
            if admitted is None:
                trying.failures.setdefault(member, member.circuit.refusal(member.where))
                member.probe_soon()
                return
            completion = msgspec.structs.replace(trying.completion, timeout_s=deadline - clock.now())
            try:
                async with aclosing(ask(member, completion, trying.budget, self._on_call)) as deltas:
                    async for delta in deltas:
                        yield delta
            except LlmError as error:
                admitted.failed(error)
                trying.fail(member, error)
            else:
                admitted.answered()
                trying.is_answered = True
                return
            finally:
                admitted.left()
            wait_s = self._failover.wait_s(trying.failures[member], tries, deadline - clock.now())
            if wait_s is None:
                return
            await clock.sleep(wait_s)
