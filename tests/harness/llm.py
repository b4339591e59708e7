"""Questions to the fake model server through our providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from agents.llm import CallReport, Clock, Failover, Pool
from agents.llm.conversation import Answer, Completion, SystemPrompt, ToolSpec, Turn, UserTurn
from agents.llm.deltas import whole_of
from agents.llm.providers.anthropic import AnthropicProvider
from agents.llm.providers.base import Provider, Settings
from agents.llm.providers.openai import OpenAIProvider
from agents.llm.secrets import Secret
from schemas.agent import Breaker, Llm, ModelChoice, ResponseCache
from tests.harness.fake_llm import FakeLlm, Wire

KEY = "sk-test-0123456789abcdef"
WORDS = "the caller's own words"
PROMPT = SystemPrompt(Llm(system_prompt="Be brief.", pool=(ModelChoice(provider="offline"),)))
ADD = ToolSpec(
    name="add",
    description="Add two numbers.",
    input_schema={"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
)
QUESTION = Completion(system=PROMPT, turns=(UserTurn(text=WORDS),))
ENVIRONMENT = {"TEST_KEY": KEY}
_KINDS: dict[Wire, Callable[[Settings], Provider]] = {"openai": OpenAIProvider, "anthropic": AnthropicProvider}


def provider(wire: Wire, fake: FakeLlm, *, key: str | None = KEY) -> Provider:
    secret = Secret(key, "env:TEST_KEY") if key else None
    url = fake.openai_url if wire == "openai" else fake.anthropic_url
    return _KINDS[wire](Settings(model="m-1", max_tokens=64, api_key=secret, base_url=url))


@asynccontextmanager
async def opened(wire: Wire, fake: FakeLlm) -> AsyncIterator[Provider]:
    asked = provider(wire, fake)
    yield asked
    await asked.close()


async def ask(
    wire: Wire, fake: FakeLlm, *turns: Turn, timeout_s: float = 20.0, key: str | None = KEY, limit: int | None = None
) -> Answer:
    asked = provider(wire, fake, key=key)
    said = turns or (UserTurn(text=WORDS),)
    try:
        return await whole_of(
            asked.stream(Completion(system=PROMPT, turns=said, tools=(ADD,), timeout_s=timeout_s, max_tokens=limit))
        )
    finally:
        await asked.close()


class Moments:
    """A clock that stands still until told, and sleeps at once: the waits are written down."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.waits: list[float] = []
        self.clock = Clock(now=lambda: self.now_s, sleep=self._sleep, random=lambda: 1.0)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


class Opened:
    """A pool that is closed at the end, and what it reported."""

    def __init__(
        self, *choices: ModelChoice, breaker: Breaker | None = None, cache: ResponseCache | None = None
    ) -> None:
        self.reports: list[CallReport] = []
        self.states: list[tuple[str, str, str]] = []
        self.moments = Moments()
        self.pool = Pool.from_choices(
            choices,
            request_timeout_s=20,
            on_call=self.reports.append,
            environment=ENVIRONMENT,
            cache=cache,
            failover=Failover(
                breaker=breaker or Breaker(),
                clock=self.moments.clock,
                on_breaker=lambda *told: self.states.append(told),
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()

    def outcomes(self) -> list[tuple[str, str, str]]:
        """Provider, outcome and reason of each call so far."""
        return [(report.provider, report.outcome, report.reason) for report in self.reports]


def choice(wire: Wire, fake: FakeLlm, model: str = "m-1", **more: Any) -> ModelChoice:
    """A choice of the pool that leads to the fake."""
    url = fake.openai_url if wire == "openai" else fake.anthropic_url
    return ModelChoice(provider=wire, model=model, api_key="env:TEST_KEY", base_url=url, **more)
