"""A conversation that was recorded, held again: each answer is asked for anew, with what stood before it as recorded.

No tool runs. A model that calls tools is asked what it would call, and goes on with the results of then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

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
from schemas.agent import AgentFile

from .report import Tried
from .scoring import Score


class Again(NamedTuple):
    """One answer, as it was and as it is now. `now` is None where no model answered."""

    question: str
    before: str
    now: str | None
    tried: Tried


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


def _tools_of(turns: Sequence[Turn]) -> tuple[ToolSpec, ...]:
    """What the conversation called; providers refuse calls of tools that are not offered."""
    names = {call.name for turn in turns if isinstance(turn, AssistantTurn) for call in turn.tool_calls}
    return tuple(
        ToolSpec(name=name, description="As before.", input_schema={"type": "object"}) for name in sorted(names)
    )
