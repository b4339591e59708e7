"""Calls that people decide about, one by one: the task waits, and the call runs once, exactly as it was allowed.

    asked     before anything else is done of it; the task is AUTH_REQUIRED
    allowed   by the reviewers of the fleet, with `approvals.approve`: these arguments, this version of the agent
    begun     written into the task, by compare-and-set, before the tool runs: it never begins twice
    ended     written when it has ended; between the two nobody knows, and the model is told so

What the next run of the task calls is taken from the record of proposals and compared with the digest that the task
kept, so neither the model nor the approval service can have another call run than the one that was shown. The
conversation of the run that asked is not kept: the model is told what was asked for and what became of it.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from agents import llm
from agents.changes import Outcome
from agents.context import Context
from agents.loop.steps import Step, ToolStep
from agents.tools.errors import ToolRefused
from agents.tools.propose_change import NAME, told
from agents.tools.row import Row
from approvals.errors import CannotPropose
from schemas.approvals import Standing, ToolCall
from schemas.canonical import canonical
from schemas.errors import AgentbusError

_NO_TASK = (
    "needs the approval of people, for which only a task can wait; this request is none, so it was not run. Say so: the "
    "caller may ask for a task"
)
_NOT_ALLOWED = {
    "rejected": "was rejected",
    "expired": "was not decided in time",
    "withdrawn": "was withdrawn",
    "allowed": "was allowed, and not begun in time",
    "invalid": "cannot be allowed",
    "refused": "cannot be allowed",
}
_BEGUN = "It was allowed and has begun, and nobody knows how it ended: it may be done. It is not run again by itself."
_ENDED = "It was allowed and has run, once, in an earlier part of this task. What it said is not kept."
_CHANGED = "It was asked for by an earlier version of this agent, so it is not run. Ask again if it is still wanted."


def call_of(row: Row, arguments: Any) -> ToolCall:
    """The call as people are asked about it.

    Raises:
        ToolRefused: its arguments have no canonical form.
    """
    try:
        return ToolCall(tool=row.name, arguments=canonical(row.tool.form.plain(arguments)).decode())
    except ValueError as error:
        raise ToolRefused(f"{row.name}: people cannot be asked about these arguments: {error}") from None


async def require_approval(step: Step) -> None:
    """Return when the call needs no approval, or has it.

    Raises:
        AuthRequired: people are asked. ToolRefused: they cannot be.
    """
    if not isinstance(step, ToolStep) or not step.row.needs_approval:
        return
    asking = step.context.asking
    call = call_of(step.row, step.arguments)
    if asking.is_granted(call):
        return
    if not asking.is_waiting:
        raise ToolRefused(f"{step.row.name} {_NO_TASK}")
    try:
        await asking.ask_call(call, f"at work for {step.context.caller}")
    except CannotPropose as refusal:
        raise ToolRefused(f"{step.row.name} needs the approval of people, who were not asked: {refusal}") from None


def once(row: Row) -> Row:
    """The same tool, which runs only as it was allowed, and once."""
    if not row.needs_approval:
        return row

    async def run(arguments: Any, context: Context) -> str:
        try:
            place = await context.asking.begin(call_of(row, arguments), time.time_ns())
        except CannotPropose as refusal:
            raise ToolRefused(f"{row.name} was not run: {refusal}") from None
        try:
            result = await row.run(arguments, context)
        except AgentbusError:  # it is known how it ended; anything else leaves that open
            await context.asking.end(place)
            raise
        await context.asking.end(place)
        return result

    return replace(row, run=run, at_once=1)


async def earlier(context: Context) -> tuple[llm.Turn, ...]:
    """The turns in which earlier runs of this task asked people, each with what became of it as the tool's result.

    The last of them has no result where a call was allowed and is to run now. Of changes only the reason is kept.

    Raises:
        AuthRequired: the last proposal is not decided yet.
    """
    turns: list[llm.Turn] = []
    outcomes = await context.asking.earlier()
    for place, outcome in enumerate(outcomes):
        if not outcome.asked.digest:
            turns += _of_change(place, outcome)
            continue
        call = await context.asking.call_of(outcome.asked)
        is_last = place == len(outcomes) - 1
        if call is not None and is_last and _is_allowed(outcome.ended):
            context.asking.grant(call, place, _until_ns(outcome.ended))
            turns.append(_asking_for(place, call))
        else:
            turns += [_asking_for(place, call), _result(place, call, _told(outcome, call))]
    return tuple(turns)


def _is_allowed(ended: Standing | CannotPropose | None) -> bool:
    return isinstance(ended, Standing) and ended.state == "allowed" and ended.until_ns >= time.time_ns()


def _until_ns(ended: Standing | CannotPropose | None) -> int:
    return ended.until_ns if isinstance(ended, Standing) else 0


def _asking_for(place: int, call: ToolCall | None) -> llm.AssistantTurn:
    tool, arguments = (call.tool, json.loads(call.arguments)) if call else (_UNKNOWN, {})
    return llm.AssistantTurn(tool_calls=(llm.ToolCall(id=f"call-{place + 1}", name=tool, input=arguments),))


_UNKNOWN = "unknown"


def _result(place: int, call: ToolCall | None, text: str) -> llm.ToolTurn:
    name = call.tool if call else _UNKNOWN
    return llm.ToolTurn(results=(llm.ToolResult(call_id=f"call-{place + 1}", name=name, text=text, is_error=True),))


def _told(outcome: Outcome, call: ToolCall | None) -> str:
    """How a call that is not run now ended, for the model."""
    asked, ended = outcome
    if asked.stage:
        return _ENDED if asked.stage == "ended" else _BEGUN
    if ended is None or isinstance(ended, CannotPropose):
        return f"People were not asked: {ended}"
    if call is None:
        return _CHANGED
    end = _NOT_ALLOWED.get(ended.state, f"is {ended.state}")
    return f"It {end}, so it was not run" + (f" ({ended.note})" if ended.note else "")


def _of_change(place: int, outcome: Outcome) -> tuple[llm.Turn, ...]:
    ended = outcome.ended
    is_told = isinstance(ended, Standing)
    why = ended.rationale if isinstance(ended, Standing) else ""
    text = told(ended) if isinstance(ended, Standing) else str(ended)
    call = llm.ToolCall(id=f"change-{place + 1}", name=NAME, input={"rationale": why})
    result = llm.ToolResult(call_id=call.id, name=NAME, text=text, is_error=not is_told)
    return llm.AssistantTurn(tool_calls=(call,)), llm.ToolTurn(results=(result,))
