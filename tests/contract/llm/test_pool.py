"""The pool over real HTTP: failover, reports, cancellation."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from agents.llm import (
    AllFailed,
    Completion,
    KeyMissing,
    KeyUnsafe,
    SystemPrompt,
    UserTurn,
)
from agents.llm.errors import RequestMalformed
from schemas.agent import Llm, ModelChoice, Price
from tests.harness.fake_llm import Fail, FakeLlm, Gate, Held, Say, Wire
from tests.harness.llm import Opened, choice

OFFLINE = ModelChoice(provider="offline")
PROMPT = SystemPrompt(Llm(system_prompt="Answer.\nStyle: friendly", pool=(OFFLINE,)))
HELLO = Completion(system=PROMPT, turns=(UserTurn(text="hello"),), timeout_s=20)
BOTH = pytest.mark.parametrize("wire", ["openai", "anthropic"])


async def test_missing_key_that_may_be_skipped_falls_back_to_offline() -> None:
    """With no key set, `skip` leaves the choice out and the built-in stand-in answers."""
    absent = ModelChoice(provider="anthropic", model="m-1", api_key="env:ABSENT_KEY", when_key_is_missing="skip")
    async with Opened(absent, OFFLINE) as opened:
        assert opened.pool.choices == (OFFLINE,)
        answer = await opened.pool.complete(HELLO)
    assert (answer.text, answer.model) == ("Hi there! You said: hello", "offline")
    assert opened.outcomes() == [("offline", "success", "")]


async def test_missing_key_that_may_not_be_skipped_is_told_at_once() -> None:
    """`fail` stops the start, and the message names the reference and the provider."""
    absent = ModelChoice(provider="openai", model="m-1", api_key="env:ABSENT_KEY")
    with pytest.raises(KeyMissing, match=r"openai.*env:ABSENT_KEY.*when_key_is_missing: skip"):
        Opened(absent, OFFLINE)


async def test_pool_that_skipped_everything_is_unusable() -> None:
    """A pool without any choice left says how to get one."""
    absent = ModelChoice(provider="openai", model="m-1", api_key="env:ABSENT", when_key_is_missing="skip")
    with pytest.raises(KeyMissing, match="provider: offline"):
        Opened(absent)


async def test_unsafe_key_is_not_skipped(tmp_path: object) -> None:
    """A key file that others can read stops the start even where a missing key would be skipped."""
    path = f"{tmp_path}/key"
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123  a line of a test
        file.write("sk-x")
    unsafe = ModelChoice(provider="openai", model="m", api_key=f"file:{path}", when_key_is_missing="skip")
    with pytest.raises(KeyUnsafe, match="chmod 600"):
        Opened(unsafe, OFFLINE)


async def test_malformed_request_asks_nobody_else(fake: FakeLlm) -> None:
    """What every provider would refuse is not sent around."""
    fake.script.append(Fail(400, "invalid_request_error"))
    async with Opened(choice("openai", fake), choice("anthropic", fake), OFFLINE) as opened:
        with pytest.raises(RequestMalformed):
            await opened.pool.complete(HELLO)
    assert opened.outcomes() == [("openai", "failure", "malformed")]
    assert len(fake.requests) == 1


async def test_all_failed_lists_every_cause(fake: FakeLlm) -> None:
    """When nobody answers, the error names each model with its cause, and says whether to try later."""
    fake.script += [Fail(401), Fail(429, headers={"retry-after": "9"})]
    async with Opened(choice("openai", fake, "a"), choice("anthropic", fake, "b")) as opened:
        with pytest.raises(AllFailed) as caught:
            await opened.pool.complete(HELLO)
    async with Opened(choice("openai", fake)) as opened:
        fake.script.append(Fail(401))
        with pytest.raises(AllFailed) as hopeless:
            await opened.pool.complete(HELLO)
    assert "- auth: openai/a: HTTP 401" in str(caught.value)
    assert "- rate: anthropic/b: HTTP 429" in str(caught.value)
    assert (caught.value.retryable, caught.value.retry_after_s) == (True, 9.0)
    assert (hopeless.value.retryable, hopeless.value.retry_after_s) == (False, None)


async def test_cancelled_call_is_reported_as_unknown(fake: FakeLlm) -> None:
    """Cancelling asks no other choice, and the trail learns that the call's outcome is unknown."""
    gate = Gate()
    fake.script.append(Held(Say("never"), gate))
    async with Opened(choice("openai", fake), OFFLINE) as opened:
        asking = asyncio.create_task(opened.pool.complete(HELLO))
        await asyncio.wait_for(gate.reached.wait(), 20)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert opened.outcomes() == [("openai", "unknown", "cancelled")]


async def test_closed_pool_opens_again(fake: FakeLlm) -> None:
    """Closing gives the connections back; a later completion still works."""
    fake.script += [Say("one"), Say("two")]
    async with Opened(choice("openai", fake)) as opened:
        assert (await opened.pool.complete(HELLO)).text == "one"
        await opened.pool.close()
        assert (await opened.pool.complete(HELLO)).text == "two"


async def test_concurrent_calls_open_one_provider(fake: FakeLlm) -> None:
    """Twenty calls at once share one provider, and each gets its answer."""
    fake.default = Say("hi")
    async with Opened(choice("openai", fake)) as opened:
        answers = await asyncio.gather(*(opened.pool.complete(HELLO) for _ in range(20)))
    assert [answer.text for answer in answers] == ["hi"] * 20


@BOTH
async def test_a_price_gives_each_call_its_cost(wire: Wire, fake: FakeLlm) -> None:
    """Tokens as the provider counted them, by the choice's price; a call without an answer, or a price, has no cost."""
    price = Price(input_usd_per_million=Decimal(3), output_usd_per_million=Decimal(15))
    priced = choice(wire, fake).model_copy(update={"price": price})
    fake.script += [Fail(429), Say("hi"), Say("hi")]
    async with (
        Opened(priced, choice(wire, fake, "m-2").model_copy(update={"price": price})) as opened,
        Opened(choice(wire, fake)) as free,
    ):
        await opened.pool.complete(HELLO)
        await free.pool.complete(HELLO)
    tokens = opened.reports[1].usage
    assert tokens.input_tokens
    assert tokens.output_tokens
    expected = Decimal(tokens.input_tokens * 3 + tokens.output_tokens * 15) / 10**6
    assert [report.cost_usd for report in (*opened.reports, *free.reports)] == [Decimal(0), expected, None]
