"""The vendors behind OpenAI's protocol, sampling, counting and the cache, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from agents.llm import Budget, BudgetExhausted, Completion, LlmError, UserTurn
from agents.llm.counting import tokens_of
from agents.llm.deltas import Finished, TextDelta
from agents.llm.providers.openai import DIALECTS
from schemas.agent import AgentFile, ModelChoice, Price, ResponseCache
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from tests.harness.fake_llm import CallTool, Fail, FakeLlm, Say
from tests.harness.llm import ADD, KEY, PROMPT, QUESTION, Opened, choice, opened
from tests.harness.model_agent import directly

VENDORS = [vendor for vendor in DIALECTS if vendor != "azure"]
FILE = "agent: {id: a, description: d}\nllm: {system_prompt: p, pool: [{CHOICE}]}"


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    directly(monkeypatch)


@pytest.fixture
async def fake() -> AsyncIterator[FakeLlm]:
    async with FakeLlm(api_key=KEY, default=Say("hi")) as server:
        yield server


def vendor_choice(vendor: str, base_url: str, **more: Any) -> ModelChoice:
    return ModelChoice.model_validate(
        {"provider": vendor, "model": "m-1", "api_key": "env:TEST_KEY", "base_url": base_url, **more}
    )


@pytest.mark.parametrize("vendor", VENDORS)
async def test_vendors_speak_one_protocol(vendor: str, fake: FakeLlm) -> None:
    """Each gets the same question at its address, with sampling as the file has it, and is named in what is told."""
    async with Opened(vendor_choice(vendor, fake.openai_url, temperature=0.5, top_p=0.9, max_tokens=5)) as opened:
        assert (await opened.pool.complete(QUESTION)).text == "hi"
    (request,) = fake.requests
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert (request.body["temperature"], request.body["top_p"], request.body["max_tokens"]) == (0.5, 0.9, 5)
    assert opened.outcomes() == [(vendor, "success", "")]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"api_version": "2024-10-21"}, "/openai/deployments/m-1/chat/completions?api-version=2024-10-21"),
        ({}, "/openai/v1/chat/completions"),
    ],
    ids=["dated", "v1"],
)
async def test_azure_has_addresses_of_its_own(more: dict[str, str], path: str, fake: FakeLlm) -> None:
    """With a dated version of its API the model is a deployment in the path; without, its /openai/v1 is spoken."""
    async with Opened(vendor_choice("azure", fake.anthropic_url, max_tokens=5, **more)) as opened:
        assert (await opened.pool.complete(QUESTION)).text == "hi"
        await opened.pool.complete(QUESTION)
    request = fake.requests[-1]
    assert request.path == path
    assert KEY in (request.headers.get("api-key"), request.headers.get("authorization", "").removeprefix("Bearer "))
    assert request.body["max_completion_tokens"] == 5


async def test_local_server_needs_no_key(fake: FakeLlm) -> None:
    """Without a key none is sent; the fake wants one, so its refusal shows that the question came without."""
    async with Opened(vendor_choice("ollama", fake.openai_url, api_key=None)) as opened:
        with pytest.raises(LlmError, match="auth: ollama/m-1"):
            await opened.pool.complete(QUESTION)
    assert "authorization" not in fake.requests[0].headers


async def test_nothing_is_taken_from_the_environment(fake: FakeLlm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Organisations, projects and headers that the clients would find by themselves are not sent."""
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-somebody-else")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(
            name, "X-Spy: of-somebody-else\nauthorization: Bearer of-somebody-else\nX-Api-Key: of-somebody-else"
        )
    for wire in ("openai", "anthropic"):
        async with Opened(choice(wire, fake)) as opened:
            await opened.pool.complete(QUESTION)
    assert len(fake.requests) == 2
    for request in fake.requests:
        assert "of-somebody-else" not in str(request.headers)


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("{provider: anthropic, model: m, temperature: 0.5}", "anthropic: its API has no temperature"),
        ("{provider: anthropic, model: m, top_p: 0.5}", "anthropic: its API has no temperature and no top_p"),
        ("{provider: offline, temperature: 0.5}", "offline: it has no temperature"),
        ("{provider: openai, model: m, temperature: 2.5}", "temperature"),
        ("{provider: openai, model: m, api_version: v1}", "api_version is for azure alone"),
        ("{provider: azure, model: m, api_key: 'env:K'}", "azure: say where its server is: base_url"),
        ("{provider: azure, model: m, base_url: 'https://x.openai.azure.com'}", "azure: it needs a key"),
        ("{provider: compatible, model: m}", "compatible: say where its server is"),
        ("{provider: ollama}", "ollama: say which model"),
        ("{provider: olama, model: m}", "provider"),
    ],
)
def test_what_a_provider_does_not_take_is_refused(written: str, advice: str) -> None:
    """The file is refused with what to do, before anything is asked."""
    with pytest.raises(InvalidDocument, match=advice):
        parse_yaml(FILE.replace("{CHOICE}", written), AgentFile, "agent.yaml")


async def test_anthropic_counts_for_nothing(fake: FakeLlm) -> None:
    """The endpoint that counts gets the question with its tools; where there is none, the estimate holds."""
    asked = msgspec.structs.replace(QUESTION, tools=(ADD,))
    async with opened("anthropic", fake) as provider:
        fake.counted_tokens = 123
        assert await provider.count(asked) == 123
    assert fake.probes[0].body["tools"][0]["name"] == "add"
    assert "max_tokens" not in fake.probes[0].body
    async with Opened(choice("openai", fake)) as pool:
        assert await pool.pool.count_tokens(asked) == tokens_of(asked)
    async with Opened(choice("anthropic", fake)) as pool:
        fake.probe_script.append(Fail(529, "overloaded_error"))
        assert await pool.pool.count_tokens(asked) == tokens_of(asked)
        assert await pool.pool.count_tokens(asked) == 125  # a fiftieth more
    assert fake.requests == []


async def test_exact_count_decides_where_the_estimate_is_too_much(fake: FakeLlm) -> None:
    """A question that the estimate makes too dear is counted by the provider before it is refused."""
    price = Price(input_usd_per_million=Decimal(10), output_usd_per_million=Decimal(0))
    question = Completion(system=PROMPT, turns=(UserTurn(text="lorem ipsum " * 100),))
    limit = Decimal(10 * 250) / 10**6
    assert tokens_of(question) > 250
    async with Opened(choice("anthropic", fake, price=price)) as opened:
        fake.counted_tokens = 200
        assert (await opened.pool.complete(question, Budget(limit))).text == "hi"
        fake.counted_tokens = 300
        with pytest.raises(BudgetExhausted):
            await opened.pool.complete(question, Budget(limit))
    assert (len(fake.requests), len(fake.probes)) == (1, 2)


async def test_same_question_is_answered_from_the_cache(fake: FakeLlm) -> None:
    """The very same question costs nothing and asks nobody for as long as the file says; any other is asked."""
    fake.script += [Say("one two"), CallTool("add", {"a": 1}), Say("cut", stop="length"), Say("late")]
    cut = msgspec.structs.replace(QUESTION, max_tokens=3)
    tools = msgspec.structs.replace(QUESTION, tools=(ADD,))
    budget = Budget(Decimal(1))
    async with Opened(
        choice("openai", fake, price=Price(input_usd_per_million=Decimal(1), output_usd_per_million=Decimal(1))),
        cache=ResponseCache(ttl_s=60, max_entries=2),
    ) as opened:
        first = await opened.pool.complete(QUESTION, budget)
        spent = budget.spent
        again = [delta async for delta in opened.pool.stream(QUESTION, budget)]
        assert (again[0], budget.spent) == (TextDelta("one two"), spent)
        assert isinstance(again[-1], Finished)
        assert (again[-1].answer.text, again[-1].answer.usage.output_tokens) == (first.text, 0)
        assert opened.reports[-1].reason == "cached"
        called = await opened.pool.complete(tools)
        assert (await opened.pool.complete(tools)).tool_calls == called.tool_calls
        assert (await opened.pool.complete(cut)).text == "cut"
        assert len(fake.requests) == 3
        assert (await opened.pool.complete(cut)).text == "late"  # what was cut is not kept
        assert (await opened.pool.complete(cut)).text == "late"
        assert len(fake.requests) == 4
        assert (await opened.pool.complete(QUESTION)).text == "hi"  # thrown out by the third
        opened.moments.now_s += 60
        assert (await opened.pool.complete(cut)).text == "hi"
    assert len(fake.requests) == 6


async def test_without_the_section_nothing_is_cached(fake: FakeLlm) -> None:
    """The cache is the author's choice."""
    async with Opened(choice("openai", fake)) as opened:
        await asyncio.gather(*(opened.pool.complete(QUESTION) for _ in range(2)))
    assert len(fake.requests) == 2
