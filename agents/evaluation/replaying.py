"""A conversation that was recorded, held again, with what stood before each answer as recorded. No tool runs.

replay            each answer is asked for anew; a model that calls tools is asked what it would call
replay_through    each exchange is held to its end; calls of tools are answered from the record
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from agents.llm import (
    Answer,
    AssistantTurn,
    Budget,
    Completion,
    LlmError,
    Pool,
    SystemPrompt,
    ToolSpec,
    ToolTurn,
    Turn,
    UserTurn,
)
from schemas.agent import AgentFile, BudgetLimits

from .recorded import NOT_RECORDED, Exchange, Recorded, exchanges_of, not_recorded
from .report import Tried
from .scoring import Score


class Again(NamedTuple):
    """One answer, as it was and as it is now. `now` is None where no model answered."""

    question: str
    before: str
    now: str | None
    tried: Tried
    not_recorded: tuple[str, ...] = ()
    """Tools that were called now in a way in which they were not then, by name, in the order of the calls."""


OnAgain = Callable[[Again], None]


async def replay(file: AgentFile, turns: Sequence[Turn], pool: Pool, *, on_again: OnAgain) -> tuple[Again, ...]:
    """Ask for each answer of `turns` again, one after the other, of an agent whose file is `file`; it has an `llm`.

    An answer stays the same when its text does, but for white space, and the tools that it calls with what. Each may
    cost what a task may. `on_again` hears of each.
    """
    if file.llm is None:
        raise ValueError("an agent without a model says the same again")
    prompt, tools = SystemPrompt(file.llm), _tools_of(turns)
    answers = [index for index, turn in enumerate(turns) if isinstance(turn, AssistantTurn) and index]
    done: list[Again] = []
    for number, index in enumerate(answers, 1):
        question = Completion(system=prompt, turns=tuple(turns[:index]), tools=tools, timeout_s=pool.request_timeout_s)
        budget = Budget(file.budget.max_cost_per_task_usd, unknown_price=file.budget.unknown_price)
        again = await _again(f"answer {number}", question, turns[index], pool, budget)
        on_again(again)
        done.append(again)
    return tuple(done)


async def replay_through(file: AgentFile, turns: Sequence[Turn], pool: Pool, *, on_again: OnAgain) -> tuple[Again, ...]:
    """Hold each exchange of `turns` again to its end, as `replay` does; its answer is the text that ends it.

    The model may call what was called then, and what the file names; a call that is not on record is answered so, and
    named. It may ask for tools in as many turns as the agent may.
    """
    if file.llm is None:
        raise ValueError("an agent without a model says the same again")
    prompt, tools = SystemPrompt(file.llm), _tools_of(turns, also=_named_by(file))
    done: list[Again] = []
    for number, exchange in enumerate(exchanges_of(turns), 1):
        question = Completion(
            system=prompt, turns=(*exchange.before, *exchange.asked), tools=tools, timeout_s=pool.request_timeout_s
        )
        again = await _through(f"answer {number}", question, exchange, pool, file.budget)
        on_again(again)
        done.append(again)
    return tuple(done)


async def _through(name: str, question: Completion, exchange: Exchange, pool: Pool, limits: BudgetLimits) -> Again:
    started = time.monotonic()
    budget = Budget(limits.max_cost_per_task_usd, unknown_price=limits.unknown_price)
    recorded, unknown, now = Recorded(exchange.made), list[str](), None
    try:
        for _ in range(limits.max_iterations + 1):
            answer = await pool.complete(question, budget)
            if not answer.tool_calls:
                now = answer.text
                break
            results = tuple(recorded.result(call) or not_recorded(call) for call in answer.tool_calls)
            unknown += [result.name for result in results if result.text == NOT_RECORDED]
            turns = (*question.turns, answer.as_turn(), ToolTurn(results=results))
            question = msgspec.structs.replace(question, turns=turns)
        score = _compared(exchange.answer, now, limits.max_iterations)
    except LlmError as error:
        score = Score(is_passed=False, why=f"no model answered: {error}"[:300])
    tried = Tried.of(name, score, time.monotonic() - started, _known(budget.cost))
    return Again(exchange.asked[-1].text, exchange.answer, now, tried, tuple(unknown))


def _compared(before: str, now: str | None, most: int) -> Score:
    if now is None:
        return Score(is_passed=False, why=f"the model asked for tools in more than {most} turns")
    is_same = now.split() == before.split()
    return Score(is_same, "" if is_same else "the answer is another one")


async def _again(name: str, question: Completion, before: Turn, pool: Pool, budget: Budget) -> Again:
    started = time.monotonic()
    now: str | None = None
    try:
        now = _shown(await pool.complete(question, budget))
        is_same = now.split() == _shown(before).split()
        score = Score(is_same, "" if is_same else "the answer is another one")
    except LlmError as error:
        score = Score(is_passed=False, why=f"no model answered: {error}"[:300])
    cost = _known(budget.cost)
    tried = Tried.of(name, score, time.monotonic() - started, cost)
    return Again(_asked(question.turns), _shown(before), now, tried)


def _known(cost: Decimal | None) -> float | None:
    return None if cost is None else float(cost)


def _asked(turns: Sequence[Turn]) -> str:
    last = turns[-1]
    if isinstance(last, ToolTurn):
        return f"(results of {', '.join(result.name for result in last.results)})"
    return last.text


def _shown(turn: Turn | Answer) -> str:
    """The text of an answer, and a line for each tool that it calls."""
    if isinstance(turn, (UserTurn, ToolTurn)):
        raise TypeError("this is no answer")
    calls = (f"[{call.name} {sorted(call.input.items())}]" for call in turn.tool_calls)
    return "\n".join(filter(None, (turn.text, *calls)))


def _named_by(file: AgentFile) -> Iterable[str]:
    """What models call the tools that the file names; which ones MCP servers have is known when they run."""
    return (name.rpartition(":")[2] for name in file.tools.named)


def _tools_of(turns: Sequence[Turn], also: Iterable[str] = ()) -> tuple[ToolSpec, ...]:
    """What the conversation called, and `also` these; providers refuse calls of tools that are not offered."""
    names = {call.name for turn in turns if isinstance(turn, AssistantTurn) for call in turn.tool_calls} | {*also}
    return tuple(
        ToolSpec(name=name, description="As before.", input_schema={"type": "object"}) for name in sorted(names)
    )
