"""Models that ask agents: real agents on a real bus, and a server that speaks as a provider does."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.skill import Context, skill
from schemas import a2a
from schemas.usage import Usage
from tests.contract.agents.skills import Gate
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.fake_llm import CallTool, FakeLlm, Say
from tests.harness.fleet import Bench, bench
from tests.harness.llm import KEY
from tests.harness.model_agent import directly

MODEL = """agent: {{id: {id}, description: Asks others.}}
llm:
  system_prompt: You ask others.
  pool:
    - {{provider: openai, model: m-1, base_url: "{url}", api_key: "env:FAKE_KEY",
        price: {{input_usd_per_million: 1000, output_usd_per_million: 1000}}}}
tools: {{ask_agent: {settings}}}
"""
_FENCE = re.compile(r"<<<data \w+ from tool ask_agent, agent>>>\n(.*)\n<<<end \w+>>>", re.DOTALL)
COST = Decimal("0.018")
"""Of one answer of the fake: 18 tokens."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    directly(monkeypatch)
    monkeypatch.setenv("FAKE_KEY", KEY)


def _each_other(document: dict[str, Any]) -> None:
    document["agents"]["textstats"]["asks"] = ["concierge"]


@asynccontextmanager
async def _fleet(
    folder: Path, settings: str = "{agents: [textstats, directory]}"
) -> AsyncIterator[tuple[Bench, FakeLlm]]:
    """A fleet in which concierge and textstats are models that may ask each other; both ask one fake."""
    async with FakeLlm(api_key=KEY) as fake:
        files = {
            name: (MODEL.format(id=name, url=fake.openai_url, settings=its), "")
            for name, its in (("concierge", settings), ("textstats", "{agents: [concierge]}"))
        }
        async with bench(folder, _each_other, files) as running:
            yield running, fake


def _results(fake: FakeLlm, request: int = -1) -> list[str]:
    """What the model was told of its calls in one request, the last unless given: without the lines of the fence."""
    messages = fake.requests[request].body["messages"]
    told = [message["content"] for message in messages if message["role"] == "tool"]
    return [_FENCE.sub(r"\1", text) for text in told]


def _ask(**arguments: Any) -> tuple[str, dict[str, Any]]:
    return "ask_agent", arguments


def _told(answer: a2a.SendMessageResponse) -> tuple[str, Usage]:
    assert answer.message is not None
    usage = Usage.told_in(answer.message.metadata)
    assert usage is not None
    return answer.message.text(), usage


async def test_calls_of_one_turn_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """Both are at work before either is answered; the model is told in the order of its calls."""
    gate = Gate()
    async with _fleet(tmp_path) as (running, fake):
        calls = [_ask(agent="textstats", question=text, skill="held") for text in ("one", "two", "three")]
        fake.script += [CallTool(*calls[0], more=tuple(calls[1:])), Say("done")]
        async with serving(running, "concierge") as agent, serving(running, "textstats", gate.skill):
            asking = asyncio.create_task((await caller(running)).send_message("concierge", saying("go")))
            await gate.has_entered(3)
            gate.opened.set()
            text, usage = _told(await asking)
            kinds = [event.short_type for event in await trail(running, agent)]
    assert (text, _results(fake)) == ("done", ["one", "two", "three"])
    assert usage.cost_usd == 2 * COST
    assert kinds.count("tool.intended") == kinds.count("tool.finished") == 3


async def test_an_agent_that_asks_back_is_answered_by_a_second_call(tmp_path: Path) -> None:
    """The model is told the question and the task, and its next call goes on with that task."""

    @skill(description="Takes an order.")
    async def order(request: str, ctx: Context) -> str:
        return f"{request}: {(await ctx.input_required('Which size?')).text()}"

    async with _fleet(tmp_path) as (running, fake):
        fake.script += [CallTool(*_ask(agent="textstats", question="shirt")), Say("never mind")]
        async with serving(running, "concierge"), serving(running, "textstats", order) as other:
            text, _ = _told(await (await caller(running)).send_message("concierge", saying("go")))
            task = (await other.book.heads_of("concierge"))[0].id
            assert text == "never mind"
            assert f"textstats asks back, task {task}: Which size?" in _results(fake)[0]
            fake.script += [CallTool(*_ask(agent="textstats", task=task, question="large")), Say("bought")]
            text, _ = _told(await (await caller(running)).send_message("concierge", saying("go on")))
    assert (text, _results(fake)) == ("bought", ["shirt: large"])


async def test_whom_it_may_ask_is_decided_twice(tmp_path: Path) -> None:
    """By the tool's settings, before anything is sent; and by the server, whatever the settings say."""

    @skill(description="Answers.", id="answers")
    async def answers(request: str, ctx: Context) -> str:
        raise AssertionError(request)

    async with _fleet(tmp_path) as (running, fake):
        calls = [_ask(agent=name, question="x") for name in ("greeter", "directory")]
        calls.append(_ask(question="nobody"))
        fake.script += [CallTool(*calls[0], more=tuple(calls[1:])), Say("done")]
        async with serving(running, "concierge"), serving(running, "greeter", answers):
            await (await caller(running)).send_message("concierge", saying("go"))
    by_settings, by_server, wrong = _results(fake)
    assert "you may not ask 'greeter'; you may ask: textstats, directory" in by_settings
    assert "the fleet file does not let concierge ask directory" in by_server
    assert "give either agent or need" in wrong


async def test_models_that_ask_each_other_in_a_circle_are_told(tmp_path: Path) -> None:
    """concierge → textstats → concierge is refused before a third model is asked; each answers with what it has."""
    async with _fleet(tmp_path) as (running, fake):
        fake.script += [
            CallTool(*_ask(agent="textstats", question="round")),
            CallTool(*_ask(agent="concierge", question="and round")),
            Say("textstats gives up"),
            Say("so does concierge"),
        ]
        async with serving(running, "concierge") as one, serving(running, "textstats"):
            text, usage = _told(await (await caller(running)).send_message("concierge", saying("go")))
            asked = [event.data.actor for event in await _received(running, one)]
    assert text == "so does concierge"
    assert "concierge gave no answer:\nconcierge is asked" in _results(fake, 2)[0]  # the words of others were fenced
    assert "concierge → textstats → concierge" in _results(fake, 2)[0]
    assert _results(fake) == ["textstats gives up"]
    assert asked == ["ops"]
    assert (usage.cost_usd, usage.chain.cost_usd, usage.chain.requests) == (2 * COST, 2 * COST, 1)


async def _received(running: Bench, agent: Agent) -> list[Any]:
    events = await trail(running, agent, kind="request.received")
    return [event for event in events if event.source.endswith(f":{agent.id}")]


async def test_the_budget_reaches_the_models_of_others(tmp_path: Path) -> None:
    """What another model would spend is refused where the caller's money is over; it is told, and nothing overspent."""
    async with _fleet(tmp_path) as (running, fake):
        fake.script += [CallTool(*_ask(agent="textstats", question="x")), Say("done")]
        plain = await running.attacker("ops")
        payload = b'{"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "go"}]}}'
        headers = {"A2A-Version": "1.0", "Agentbus-Budget": "2.2"}
        way = "a2a.v1.req.concierge.ops.SendMessage"
        async with serving(running, "concierge"), serving(running, "textstats"):
            answer = await plain.client.request(way, payload, timeout=20, headers=headers)
    usage = Usage.told_in(json.loads(answer.data)["message"]["metadata"])
    assert usage is not None
    assert usage.total.cost_usd == len(fake.requests) * COST == 2 * COST
    assert "the call can cost" in _results(fake)[0]
