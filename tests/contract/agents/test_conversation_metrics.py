"""What a conversation with a model leaves on the trail, as numbers: over real HTTP, with the product's own events."""

from __future__ import annotations

from typing import Any, cast

import pytest

from agents.context import Context
from agents.llm import AllFailed, SystemPrompt, Tool
from agents.loop import converse, steps_on
from agents.runtime.answering.models import pool_of
from agents.tools.row import Row
from bus.audit.emit import Audit
from bus.audit.event import Happened
from bus.health.from_events import FromEvents
from bus.health.numbers import Numbers
from schemas.agent import Breaker, Llm, ModelChoice
from schemas.documents import Document
from tests.harness.fake_llm import CallTool, Fail, FakeLlm, Say
from tests.harness.toolbox import Told, conversation


class Sum(Document):
    """Input of the tool `add`."""

    a: int
    b: int


ADD = Tool(name="add", description="Add two numbers.", input=Sum)


async def add(arguments: Sum, _: Context) -> str:
    return str(arguments.a + arguments.b)


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Numbers:
    """What is counted."""
    monkeypatch.setenv("TEST_KEY", "sk-test-0123456789abcdef")
    return Numbers()


async def converse_into(numbers: Numbers, fake: FakeLlm, failures: int = 5) -> None:
    """Count one conversation, as the script of the model's server has it, however it ends."""
    model = ModelChoice(provider="openai", model="m-1", api_key="env:TEST_KEY", base_url=fake.openai_url)
    section = Llm(system_prompt="Add.", pool=(model,), breaker=Breaker(failures=failures))
    told = Told()
    audit = cast(Audit, told)
    pool = pool_of(section, audit)
    talk = conversation(
        pool, SystemPrompt(section), "add", Row(ADD, add, has_effects=False), told=told,
        on_step=steps_on(audit, "writer", "ops"),
    )  # fmt: skip
    try:
        await converse(talk)
    finally:
        await pool.close()
        FromEvents(numbers).count([happened(kind, **facts) for kind, facts in told.events])


def happened(kind: str, **facts: Any) -> Happened:
    """As `Audit.emit` makes it."""
    return Happened(kind=kind, **facts)


async def test_models_and_tools(fake: FakeLlm, numbers: Numbers) -> None:
    """Two answers and one tool by name; a tool that the model made up is a refusal without a name."""
    fake.script += [CallTool("add", {"a": 1, "b": 2}, more=(("drop_tables", {}),)), Say("3")]
    await converse_into(numbers, fake)
    values = numbers.values
    assert values["agent_llm_calls_total"] == {("openai", "m-1", "success"): 2}
    assert values["agent_tool_calls_total"] == {("add", "success"): 1}
    assert "drop_tables" not in str(values)
    assert values["agent_active_sessions"] == {(): 0}
    tokens = values["agent_llm_tokens_total"]
    assert min(tokens["openai", "m-1", "input"], tokens["openai", "m-1", "output"]) > 0
    numbers.look()
    assert values["agent_tokens_used_total"] == {(): sum(tokens.values())}
    assert sum(numbers.histograms["agent_llm_call_duration_seconds"]["openai", "m-1"].counts) == 2
    assert sum(numbers.histograms["agent_tool_duration_seconds"][("add",)].counts) == 1


async def test_a_model_that_fails(fake: FakeLlm, numbers: Numbers) -> None:
    """Failed calls, its breaker, and no conversation that stays under way."""
    fake.script += [Fail(401, "no")] * 5
    with pytest.raises(AllFailed):
        await converse_into(numbers, fake, failures=1)
    values = numbers.values
    assert values["agent_llm_calls_total"]["openai", "m-1", "failure"] >= 1
    assert values["agent_breaker_state"]["model", "openai/m-1"] == 2
    assert values["agent_active_sessions"] == {(): 0}
