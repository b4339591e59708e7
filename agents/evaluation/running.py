"""Trying the cases of a suite at an agent."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from schemas import a2a, names
from schemas.errors import A2AError
from schemas.evaluation import EvaluationCase, EvaluationSuite
from schemas.ids import sha256_hex, ulid

from . import judging
from .report import Report, Tried
from .scoring import Score, score, text_of

USAGE_KEY: Final = "urn:agentbus:usage"
OnTried = Callable[[Tried], None]


class Asked(Protocol):
    """Whoever asks agents: a `Caller` on a bus, or `local`, which has the agent here."""

    async def send_message(
        self, agent: str, request: a2a.SendMessageRequest, *, timeout_s: float = 60.0
    ) -> a2a.SendMessageResponse:
        """The agent's answer.

        Raises:
            A2AError: what it refused with.
        """


class _Answer(NamedTuple):
    parts: tuple[a2a.Part, ...]
    cost_usd: float | None


async def evaluate(
    suite: EvaluationSuite, source: bytes, calls: Asked, *, at_once: int = 4, on_tried: OnTried = lambda _: None
) -> Report:
    """Try every case, `at_once` of them at a time; `source` is the suite's file, whose digest the report carries.

    An error of the agent, or of the judge, is a case that did not pass; `on_tried` hears of each in the order of
    their ends.
    """
    turns = asyncio.Semaphore(at_once)

    async def tried(case: EvaluationCase) -> Tried:
        async with turns:
            result = await _try(suite, case, calls)
        on_tried(result)
        return result

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(tried(case)) for case in suite.cases for _ in range(suite.repeat)]
    return Report(
        agent=suite.agent, way="cases", suite=sha256_hex(source), must_pass=suite.must_pass,
        tried=tuple(task.result() for task in running),
    )  # fmt: skip


async def _try(suite: EvaluationSuite, case: EvaluationCase, calls: Asked) -> Tried:
    started = time.monotonic()
    cost: float | None = None
    try:
        answer = await _ask(calls, suite.agent, _part(case.ask, case.data), case.skill, suite.timeout_s)
        cost = answer.cost_usd
        result = await _scored(suite, case, answer, calls)
    except A2AError as error:
        result = Score(is_passed=False, why=f"{error.reason}: {error.message}"[:300])
    return Tried.of(case.name, result, time.monotonic() - started, cost)


async def _scored(suite: EvaluationSuite, case: EvaluationCase, answer: _Answer, calls: Asked) -> Score:
    if not case.expect.rubric:
        return score(case.expect, answer.parts)
    asked = case.ask if case.ask is not None else msgspec.json.encode(case.data).decode()
    text = judging.question(case.expect, asked, text_of(answer.parts) or msgspec.json.encode(answer.parts).decode())
    said = await _ask(calls, suite.judge.agent, a2a.Part(text=text), suite.judge.skill, suite.timeout_s)
    return judging.verdict(case.expect, said.parts)


def _part(text: str | None, data: Any) -> a2a.Part:
    return a2a.Part(data=data, media_type="application/json") if text is None else a2a.Part(text=text)


async def _ask(calls: Asked, agent: str, part: a2a.Part, skill: str | None, timeout_s: float) -> _Answer:
    message = a2a.Message(
        message_id=ulid(time.time_ns(), os.urandom(10)), role="ROLE_USER", parts=(part,),
        metadata={names.SKILL_KEY: skill} if skill else {},
    )  # fmt: skip
    response = await calls.send_message(agent, a2a.SendMessageRequest(message=message), timeout_s=timeout_s)
    if response.message is not None:
        return _Answer(response.message.parts, _cost(response.message.metadata))
    task = response.task
    assert task is not None  # noqa: S101  a response has one of the two
    parts = tuple(part for artifact in task.artifacts for part in artifact.parts)
    return _Answer(parts, _cost(task.metadata))


def _cost(metadata: a2a.JsonObject) -> float | None:
    usage = metadata.get(USAGE_KEY)
    cost = usage.get("cost_usd") if isinstance(usage, dict) else None
    return float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) else None
