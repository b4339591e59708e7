"""The models of one agent, in order of preference: the first that can answer does.

Each choice is asked once per completion; what it fails with decides whether the next one is asked (the
table in `errors`). Nothing is remembered between completions: a model that failed is asked first again.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, Self

import msgspec
import structlog

from schemas.agent import ModelChoice, Price

from .anthropic_provider import AnthropicProvider
from .conversation import Answer, Completion, Usage
from .errors import AllFailed, ExtraMissing, KeyMissing, LlmError, PoolUnusable
from .offline_provider import OfflineProvider
from .openai_provider import OpenAIProvider
from .provider import Provider, Settings
from .secrets import Secret, resolve

_log = structlog.get_logger("llm")


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one model, however it ended. `model` is the configuration's name for it.

    `reason` is the cause of a failure (`rate`, `timeout`, …) or `cancelled`; then the outcome is
    unknown: the provider may have done and billed the work.
    """

    provider: str
    model: str
    outcome: Literal["success", "failure", "unknown"]
    duration_ms: float
    reason: str = ""
    usage: Usage = Usage()
    cost_usd: float | None = None
    """By the price in the configuration; None without one, or where the provider did not count all tokens."""


OnCall = Callable[[CallReport], None]


def _ignore(_: CallReport) -> None:
    """Nobody asked to be told."""


def _offline(_: Settings) -> Provider:
    return OfflineProvider()


_OPENERS: Final[dict[str, Callable[[Settings], Provider]]] = {
    "offline": _offline,
    "openai": OpenAIProvider,
    "anthropic": AnthropicProvider,
}
_PACKAGES: Final = ("openai", "anthropic")


class _Member:
    """One choice with its provider, opened by the first call that needs it."""

    def __init__(self, choice: ModelChoice, key: Secret | None) -> None:
        self.choice = choice
        self._settings = Settings(
            model=choice.model, max_tokens=choice.max_tokens, api_key=key, base_url=choice.base_url
        )
        self._provider: Provider | None = None
        self._opening = asyncio.Lock()

    async def provider(self) -> Provider:
        async with self._opening:
            if self._provider is None:
                # importing a provider's package takes up to two seconds; the loop has heartbeats to send meanwhile
                self._provider = await asyncio.to_thread(_OPENERS[self.choice.provider], self._settings)
                _log.info(
                    "llm.provider_opened",
                    provider=self.choice.provider,
                    model=self.choice.model,
                    is_model=self.choice.provider != "offline",
                )
            return self._provider

    async def close(self) -> None:
        async with self._opening:
            if self._provider is not None:
                await self._provider.close()
                self._provider = None


class Pool:
    """Answers completions with the first choice that can. Make it with `from_choices`; close it when done."""

    def __init__(self, members: tuple[_Member, ...], request_timeout_s: float, on_call: OnCall) -> None:
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
        on_call: OnCall = _ignore,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Resolve the keys of all choices now, open no provider yet. `on_call` must neither block nor raise.

        A choice without its key is left out, with a line in the log, where it says `when_key_is_missing: skip`.

        Raises:
            KeyMissing: a key is missing and its choice says `fail`, or no choice is left.
            KeyUnsafe: a key is there and may not be used; `skip` does not apply.
            ExtraMissing: the package of a choice that is not left out is not installed.
        """
        members = tuple(filter(None, (_member(choice, environment) for choice in choices)))
        if not members:
            raise KeyMissing("no model is left in llm.pool: set a key, or add {provider: offline} as the last choice")
        return cls(members, request_timeout_s, on_call)

    @property
    def choices(self) -> tuple[ModelChoice, ...]:
        """The choices that are in use, in order."""
        return tuple(member.choice for member in self._members)

    async def complete(self, completion: Completion) -> Answer:
        """The answer of the first choice that gives one. Takes up to `timeout_s` for each choice.

        Raises:
            AllFailed: none did; it lists the causes.
            RequestMalformed: the request itself is wrong, so no other choice was asked.
            PoolUnusable: a provider could not be opened.
        """
        failures: list[LlmError] = []
        for member in self._members:
            try:
                return await self._ask(member, completion)
            except LlmError as error:
                choice = member.choice
                _log.warning("llm.call_failed", provider=choice.provider, model=choice.model, cause=error.cause)
                if not error.may_try_next:
                    raise
                failures.append(error)
        raise AllFailed(tuple(failures))

    async def close(self) -> None:
        """Close every provider that was opened. A later completion opens them again."""
        await asyncio.gather(*(member.close() for member in self._members))

    async def _ask(self, member: _Member, completion: Completion) -> Answer:
        provider = await member.provider()
        started = time.perf_counter()

        def report(outcome: Literal["success", "failure", "unknown"], reason: str, usage: Usage) -> None:
            self._on_call(
                CallReport(
                    provider=member.choice.provider,
                    model=member.choice.model,
                    outcome=outcome,
                    duration_ms=(time.perf_counter() - started) * 1000,
                    reason=reason,
                    usage=usage,
                    cost_usd=_cost(member.choice.price, usage),
                )
            )

        try:
            answer = await provider.complete(completion)
        except LlmError as error:
            report("failure", error.cause, Usage())
            raise
        except asyncio.CancelledError:
            report("unknown", "cancelled", Usage())
            raise
        report("success", "", answer.usage)
        return answer


def _member(choice: ModelChoice, environment: Mapping[str, str] | None) -> _Member | None:
    """The choice ready for use; None where its key is missing and it may be skipped."""
    try:
        key = resolve(choice.api_key, environment) if choice.api_key else None
    except KeyMissing as missing:
        if choice.when_key_is_missing == "fail":
            raise _told(missing, choice) from None
        _log.warning("llm.choice_skipped", provider=choice.provider, model=choice.model, reason=str(missing))
        return None
    if choice.provider in _PACKAGES and importlib.util.find_spec(choice.provider) is None:
        raise ExtraMissing(
            f"provider {choice.provider}: its package is not installed; run: pip install 'agentbus[{choice.provider}]'"
        )
    return _Member(choice, key)


def _cost(price: Price | None, usage: Usage) -> float | None:
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    return price.of(usage.input_tokens, usage.output_tokens)


def _told(missing: PoolUnusable, choice: ModelChoice) -> KeyMissing:
    return KeyMissing(
        f"provider {choice.provider}: {missing}; set it, or write when_key_is_missing: skip to do without this model"
    )
