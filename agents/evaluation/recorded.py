"""What tools said in a recorded conversation, as answers to the calls of a model that holds it again.

A call is the same by its tool and by the digest of its arguments; where it was made more than once, the first result
answers the first call. What was not called then nobody can answer: the model is told so, and the report has it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from agents.llm import AssistantTurn, ToolCall, ToolResult, ToolTurn, Turn, UserTurn
from schemas.canonical import canonical
from schemas.ids import sha256_hex

NOT_RECORDED: Final = "not recorded: this call was not made then, so nobody knows what it would give. Go on without it."


class Exchange(NamedTuple):
    """What was asked, and everything up to the answer. `before` is what was said earlier.

    What the caller added while the agent was at work belongs to `asked`.
    """

    before: tuple[Turn, ...]
    asked: tuple[UserTurn, ...]
    made: tuple[Turn, ...]
    answer: str


def exchanges_of(turns: Sequence[Turn]) -> tuple[Exchange, ...]:
    """The exchanges of a conversation that have an answer, in order."""
    found: list[Exchange] = []
    begin = 0
    for index, turn in enumerate(turns):
        if isinstance(turn, AssistantTurn) and not turn.tool_calls:
            whole = turns[begin:index]
            asked = tuple(one for one in whole if isinstance(one, UserTurn))
            if asked:
                made = tuple(one for one in whole if not isinstance(one, UserTurn))
                found.append(Exchange(tuple(turns[:begin]), asked, made, turn.text))
            begin = index + 1
    return tuple(found)


class Recorded:
    """The results of one exchange, each given once."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._left: dict[str, deque[ToolResult]] = defaultdict(deque)
        for call, result in _pairs(turns):
            self._left[_key(call)].append(result)

    def result(self, call: ToolCall) -> ToolResult | None:
        """What the tool said to this call then; None where it was not made, or not so often."""
        left = self._left.get(_key(call))
        if not left:
            return None
        then = left.popleft()
        return ToolResult(call_id=call.id, name=call.name, text=then.text, is_error=then.is_error)


def not_recorded(call: ToolCall) -> ToolResult:
    """What a model is told of a call that nobody can answer."""
    return ToolResult(call_id=call.id, name=call.name, text=NOT_RECORDED, is_error=True)


def _pairs(turns: Sequence[Turn]) -> list[tuple[ToolCall, ToolResult]]:
    """Each call with its result, by place: a model may give two calls of a turn one id."""
    return [
        pair
        for before, after in itertools.pairwise(turns)
        if isinstance(before, AssistantTurn) and isinstance(after, ToolTurn)
        for pair in zip(before.tool_calls, after.results, strict=False)
    ]


def _key(call: ToolCall) -> str:
    try:
        return f"{call.name} {sha256_hex(canonical(call.input))}"
    except ValueError:  # numbers that have no canonical form: the same only as written
        return f"{call.name} {call.input!r}"
