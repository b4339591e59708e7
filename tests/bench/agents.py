"""Agents with models: what a call costs above the bare client, many conversations at once, and how soon an agent is there.

The model server is the tests' fake, in this process: it takes its part of every figure, on both sides alike.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from agents.llm import AssistantTurn, Completion, Finished, Pool, TextDelta, Turn, UserTurn
from agents.supervisor.child import Child
from agents.supervisor.fleet_processes import commands
from schemas import a2a
from tests.bench.rates import p50_us, request_of
from tests.bench.report import Report
from tests.bench.stage import Stage
from tests.harness.fake_llm import PROXY_VARIABLES, FakeLlm, Gate, Held, Say, Wire
from tests.harness.llm import ENVIRONMENT, KEY, PROMPT, QUESTION, choice

_WORDS = "so many words of an answer that comes in pieces, one by one, until it is whole. " * 4
_TURNS = 20
"""Of a conversation that is held open: what was said in it before."""
_SAID = "a question or an answer of the usual length, as people and models write them. " * 10
_MODEL_AGENT = "greeter"
_MODEL_FILE = """\
agent: {{id: greeter, description: Answers., version: 1.0.0}}
llm:
  system_prompt: Answer.
  pool: [{{provider: openai, model: m, api_key: "file:{key}", base_url: "{url}"}}]
"""


@asynccontextmanager
async def model_server(folder: Path) -> AsyncIterator[tuple[FakeLlm, dict[str, tuple[str, str]]]]:
    """The model server, and the agent that asks it, by name; its key lies in `folder`."""
    for variable in PROXY_VARIABLES:
        os.environ.pop(variable, None)
    key = folder / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    async with FakeLlm(api_key=KEY, default=Say(_WORDS)) as fake:
        yield fake, {_MODEL_AGENT: (_MODEL_FILE.format(key=key, url=fake.openai_url), "")}


async def agents_section(on: Stage, fake: FakeLlm, report: Report) -> None:
    """All of it. `on` has the agent of `model_server`; its other agent is stopped at the end."""
    for wire in ("openai", "anthropic"):
        await _overhead(wire, fake, report)
    await _conversations(fake, report)
    await _memory(fake, report)
    await _starts(on, report)


@asynccontextmanager
async def _pool(wire: Wire, fake: FakeLlm) -> AsyncIterator[Pool]:
    pool = Pool.from_choices([choice(wire, fake)], environment=ENVIRONMENT, request_timeout_s=60)
    await pool.complete(QUESTION)  # opens the provider
    yield pool
    await pool.close()


async def _overhead(wire: Wire, fake: FakeLlm, report: Report) -> None:
    """The same streamed question by the official client alone, and through the pool, in turns."""
    sizes = report.sizes
    bare, close = _BARE[wire](fake)
    ours_us: list[float] = []
    bare_us: list[float] = []
    async with _pool(wire, fake) as pool:
        for _ in range(sizes.rounds):
            bare_us.append(await p50_us(bare, sizes.model_calls))
            ours_us.append(await p50_us(lambda: pool.complete(QUESTION), sizes.model_calls))
    await close()
    report.compare(f"model_call_{wire}", ours_us, bare_us)
    over_ms = statistics.median(ours - base for ours, base in zip(ours_us, bare_us, strict=True)) / 1000
    report.keep(**{f"call_overhead_{wire}_ms": over_ms})
    report.line(
        f"model call, {wire}: through the pool, above the bare client",
        f"{statistics.median(ours_us) / 1000:>9.2f} ms     {over_ms:+.2f} ms",
    )


def _bare_openai(fake: FakeLlm) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[None]]]:
    import openai

    client = openai.AsyncOpenAI(api_key=KEY, base_url=fake.openai_url, max_retries=0)
    question: Any = {
        "model": "m-1", "messages": [{"role": "user", "content": "x"}], "max_tokens": 64,
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip

    async def ask() -> object:
        chunks = [chunk async for chunk in await client.chat.completions.create(**question)]
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    return ask, client.close


def _bare_anthropic(fake: FakeLlm) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[None]]]:
    import anthropic

    client = anthropic.AsyncAnthropic(api_key=KEY, base_url=fake.anthropic_url, max_retries=0)
    question: Any = {
        "model": "m-1", "messages": [{"role": "user", "content": "x"}], "max_tokens": 64, "stream": True,
    }  # fmt: skip

    async def ask() -> object:
        return [event async for event in await client.messages.create(**question)]

    return ask, client.close


_BARE = {"openai": _bare_openai, "anthropic": _bare_anthropic}


async def _conversations(fake: FakeLlm, report: Report) -> None:
    """Many conversations in one process, each piece taken as it comes."""
    count = report.sizes.conversations
    async with _pool("openai", fake) as pool:

        async def one() -> tuple[int, float]:
            began, first_s, pieces = time.perf_counter(), 0.0, []
            async with aclosing(pool.stream(QUESTION)) as deltas:
                async for delta in deltas:
                    if isinstance(delta, TextDelta):
                        first_s = first_s or time.perf_counter() - began
                        pieces.append(delta.text)
                    elif isinstance(delta, Finished):
                        assert delta.answer.text == "".join(pieces) == _WORDS
            return len(pieces), first_s

        began = time.perf_counter()
        ended = await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)
        took_s = time.perf_counter() - began
    whole = [each for each in ended if not isinstance(each, BaseException)]
    report.keep(whole_conversations=len(whole), first_piece_s=statistics.median(first for _, first in whole))
    report.line(
        f"models: {count} conversations that stream at once",
        f"{took_s:>9.2f} s      first piece after {report.figures['first_piece_s'] * 1000:.0f} ms",
    )


async def _memory(fake: FakeLlm, report: Report) -> None:
    """Conversations with a past, all held in the middle of their answers; the fake's part is in it."""
    count = report.sizes.conversations
    gates = [Gate() for _ in range(count)]
    async with _pool("openai", fake) as pool:
        gc.collect()
        before = _resident_mib()
        fake.script += [Held(Say(_WORDS), gate, is_half_sent=True) for gate in gates]
        asked = [asyncio.create_task(pool.complete(_with_past(number))) for number in range(count)]
        await asyncio.gather(*(gate.reached.wait() for gate in gates))
        held_mib = (_resident_mib() - before) / count
        for gate in gates:
            gate.release.set()
        await asyncio.gather(*asked)
    fake.requests.clear()
    report.keep(conversation_mb=held_mib * 2**20 / 1e6)
    report.line(f"models: memory of a conversation of {_TURNS} turns, in flight", f"{held_mib * 1024:>9.0f} KiB")


def _with_past(number: int) -> Completion:
    past: list[Turn] = []
    for turn in range(_TURNS // 2):
        past += [UserTurn(text=f"{number} {turn} {_SAID}"), AssistantTurn(text=f"{turn} {number} {_SAID}")]
    return Completion(system=PROMPT, turns=(*past, UserTurn(text="And?")), timeout_s=60)


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def _starts(on: Stage, report: Report) -> None:
    """From the start of an agent's process to READY, and to the first answer of its model."""
    ready: list[float] = []
    answered: list[float] = []
    stages = commands(on.bench.fleet, on.bench.home, on.bench.server.url)
    command = next(each for stage in stages for each in stage if each.name == f"agent-{_MODEL_AGENT}")
    for _ in range(report.sizes.starts):
        await on.agent.stop()
        began = time.perf_counter()
        await on.agent.start()
        ready.append(time.perf_counter() - began)
        model, began = Child(command, lambda _: None), time.perf_counter()
        await model.start()
        await on.ours.send_message(_MODEL_AGENT, request_of(a2a.Part(text="hello")))
        answered.append(time.perf_counter() - began)
        await model.stop()
    report.keep(start_s=statistics.median(ready), first_answer_s=statistics.median(answered))
    report.line("start of an agent to READY, median", f"{report.figures['start_s']:>9.2f} s")
    report.line("start of an agent to its model's first answer, median", f"{report.figures['first_answer_s']:>9.2f} s")
