"""The models of one agent, in order of preference: the first that can answer does.

Each choice is asked once per completion; what it fails with decides whether the next one is asked (the
table in `errors`). Nothing is remembered between completions: a model that failed is asked first again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Self

import structlog

from agents.llm.budget import Budget
from agents.llm.conversation import Answer, Completion
from agents.llm.deltas import PoolDelta, SwitchedOver, whole_of
from agents.llm.errors import AllFailed, KeyMissing, LlmError
from schemas.agent import ModelChoice

from .call import ask
from .member import Member, member_of
from .report import OnCall, ignore

_log = structlog.get_logger("llm")


class Pool:
    """Answers completions with the first choice that can. Make it with `from_choices`; close it when done."""

    def __init__(self, members: tuple[Member, ...], request_timeout_s: float, on_call: OnCall) -> None:
        self._members = members
        self._on_call = on_call
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
    ) -> Self:
        """Resolve the keys of all choices now, open no provider yet. `on_call` must neither block nor raise.

        A choice without its key is left out, with a line in the log, where it says `when_key_is_missing: skip`.

        Raises:
            KeyMissing: a key is missing and its choice says `fail`, or no choice is left.
            KeyUnsafe: a key is there and may not be used; `skip` does not apply.
            ExtraMissing: the package of a choice that is not left out is not installed.
        """
        members = tuple(filter(None, (member_of(choice, environment) for choice in choices)))
        if not members:
            raise KeyMissing("no model is left in llm.pool: set a key, or add {provider: offline} as the last choice")
        return cls(members, request_timeout_s, on_call)

    @property
    def choices(self) -> tuple[ModelChoice, ...]:
        """The choices that are in use, in order."""
        return tuple(member.choice for member in self._members)

    async def stream(self, completion: Completion, budget: Budget | None = None) -> AsyncGenerator[PoolDelta]:
        """Pieces of text as they come, then one `Finished`; takes up to `timeout_s` for each choice.

        Where a model fails after a piece of its text was given, `SwitchedOver` comes before the next model's
        first. Close the generator (`contextlib.aclosing`) to end the HTTP request with it.

        Raises:
            AllFailed: no choice answered; it lists the causes.
            RequestMalformed: the request itself is wrong, so no other choice was asked.
            BudgetExhausted: `budget` does not have what any choice can cost.
            PoolUnusable: a provider could not be opened.
        """
        failures: list[LlmError] = []
        is_void = False
        for member in self._members:
            if is_void:
                yield SwitchedOver(member.choice.provider, member.choice.model, failures[-1].cause)
                is_void = False
            try:
                async with aclosing(ask(member, completion, budget, self._on_call)) as deltas:
                    async for delta in deltas:
                        is_void = True
                        yield delta
            except LlmError as error:
                _log.warning(
                    "llm.call_failed", provider=member.choice.provider, model=member.choice.model, cause=error.cause
                )
                if not error.may_try_next:
                    raise
                failures.append(error)
            else:
                return
        raise _all_of(failures)

    async def complete(self, completion: Completion, budget: Budget | None = None) -> Answer:
        """The whole answer. Raises as `stream`."""
        return await whole_of(self.stream(completion, budget))

    async def close(self) -> None:
        """Close every provider that was opened. A later completion opens them again."""
        await asyncio.gather(*(member.close() for member in self._members))


def _all_of(failures: list[LlmError]) -> LlmError:
    """The one failure of them all, or all of them: a budget that no choice fits is told as such."""
    causes = {failure.cause for failure in failures}
    return failures[-1] if causes == {"budget"} else AllFailed(tuple(failures))
