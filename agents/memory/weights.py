"""How many tokens turns take: an estimate with margin, corrected by what a provider counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from agents.llm import AssistantTurn, SystemPrompt, ToolSpec, ToolTurn, Turn

_TOKENS_PER_BYTE: Final = 0.3
"""English has four letters a token; a fifth more, because too long a question costs more than one that is too short."""
_FRAME: Final = 8
"""What a provider puts around each message."""
_LEAST, _MOST = 0.25, 4.0
"""How far one provider's count may correct the estimate."""


def tokens_of(turn: Turn) -> int:
    """About how many tokens a turn takes, rather too many."""
    match turn:
        case AssistantTurn():
            calls = sum(_size(call.name) + _size(call.input) for call in turn.tool_calls)
            size = _size(turn.text) + calls
        case ToolTurn():
            size = sum(_size(result.text) for result in turn.results)
        case _:
            size = _size(turn.text)
    return math.ceil(size * _TOKENS_PER_BYTE) + _FRAME


def fixed_tokens(prompt: SystemPrompt, tools: Sequence[ToolSpec]) -> int:
    """The same of what stands before each conversation."""
    size = _size(prompt.text) + sum(_size(tool.description) + _size(tool.input_schema) for tool in tools)
    return math.ceil(size * _TOKENS_PER_BYTE) + _FRAME * (1 + len(tools))


def correction(counted: int | None, estimated: int) -> float:
    """By what to multiply estimates, when a provider counted so many tokens where so many were estimated."""
    if not counted or not estimated:
        return 1.0
    return min(_MOST, max(_LEAST, counted / estimated))


def _size(value: object) -> int:
    return len(value.encode()) if isinstance(value, str) else len(msgspec.json.encode(value))
