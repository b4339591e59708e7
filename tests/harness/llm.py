"""Questions to the fake model server through our providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from agents.llm.conversation import Answer, Completion, SystemPrompt, ToolSpec, Turn, UserTurn
from agents.llm.deltas import whole_of
from agents.llm.providers.anthropic import AnthropicProvider
from agents.llm.providers.base import Provider, Settings
from agents.llm.providers.openai import OpenAIProvider
from agents.llm.secrets import Secret
from schemas.agent import Llm, ModelChoice
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
