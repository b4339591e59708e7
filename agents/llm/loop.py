"""The conversation between a model and its tools: model → tool calls → results → … → text.

What the model does wrong (a tool that there is not, arguments of a wrong form) is answered to the
model, which can do better in the next round. What a tool refuses with an `AgentbusError` is too: its
text is advice and holds no secrets. Anything else a tool raises ends the conversation, as does
cancelling it, and as does a trail that does not take what a tool is about to do: no other try helps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from bus.errors import AuditUnavailable
from schemas.documents import Document
from schemas.errors import AgentbusError, InvalidDocument

from .conversation import Completion, SystemPrompt, ToolCall, ToolResult, ToolTurn, Turn, Usage
from .errors import TooManyRounds
from .pool import Pool
from .tools import Tool

RunTool = Callable[[str, Document], Awaitable[str]]
"""Runs the tool of that name with its checked arguments; returns what the model is told."""

MAX_RESULT_CHARS = 20_000


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation ended. `turns` are those given and those added, the answer last."""

    text: str
    turns: tuple[Turn, ...]
    usage: Usage
    rounds: int


async def converse(
    pool: Pool,
    prompt: SystemPrompt,
    turns: Iterable[Turn],
    tools: Iterable[Tool],
    run_tool: RunTool,
    max_rounds: int = 10,
) -> Reply:
    """Ask until the model answers with text alone.

    At most `max_rounds` of the model's turns may end in tool calls. Calls of one turn run one after the
    other, in the model's order. Each completion has `pool.request_timeout_s`; the whole has no limit of
    its own: cancel it.

    Raises:
        TooManyRounds: the model wanted tools once more than it may. The tools it asked for before have run.
        LlmError: as `Pool.complete`. Tools that had run stay done.
        AuditUnavailable: a tool did not run, or its end is not on the trail.
    """
    known = {tool.name: tool for tool in tools}
    specs = tuple(tool.spec() for tool in known.values())
    said = tuple(turns)
    usage = Usage(input_tokens=0, output_tokens=0)
    for done in range(max_rounds + 1):
        answer = await pool.complete(
            Completion(system=prompt, turns=said, tools=specs, timeout_s=pool.request_timeout_s)
        )
        usage = usage.plus(answer.usage)
        said = (*said, answer.as_turn())
        if not answer.tool_calls:
            return Reply(text=answer.text, turns=said, usage=usage, rounds=done)
        if done < max_rounds:
            results = [await _result(call, known, run_tool) for call in answer.tool_calls]
            said = (*said, ToolTurn(results=tuple(results)))
    raise TooManyRounds("llm", f"the model asked for tools in more than {max_rounds} turns")


async def _result(call: ToolCall, known: Mapping[str, Tool], run_tool: RunTool) -> ToolResult:
    try:
        text = await run_tool(call.name, _tool(call, known).arguments(call))
    except AuditUnavailable:
        raise
    except AgentbusError as error:
        return ToolResult(call_id=call.id, name=call.name, text=_capped(str(error)), is_error=True)
    return ToolResult(call_id=call.id, name=call.name, text=_capped(text))


def _tool(call: ToolCall, known: Mapping[str, Tool]) -> Tool:
    tool = known.get(call.name)
    if tool is None:
        raise InvalidDocument(f"there is no tool {call.name!r}; there are: {', '.join(sorted(known)) or 'none'}")
    return tool


def _capped(text: str) -> str:
    if len(text) <= MAX_RESULT_CHARS:
        return text
    return f"{text[:MAX_RESULT_CHARS]}\n[cut: {len(text)} characters, {MAX_RESULT_CHARS} shown]"
