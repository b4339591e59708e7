"""How many tokens turns take: an estimate with margin, corrected by what a provider counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agents.llm import Completion, SystemPrompt, ToolSpec
from agents.llm.counting import tokens_of

_LEAST: Final = 0.25
_MOST: Final = 4.0
"""How far one provider's count may correct the estimate."""


def fixed_tokens(prompt: SystemPrompt, tools: Sequence[ToolSpec]) -> int:
    """About how many tokens stand before each conversation, rather too many."""
    return tokens_of(Completion(system=prompt, turns=(), tools=tuple(tools)))


def correction(counted: int | None, estimated: int) -> float:
    """By what to multiply estimates, when a provider counted so many tokens where so many were estimated."""
    if not counted or not estimated:
        return 1.0
    return min(_MOST, max(_LEAST, counted / estimated))
