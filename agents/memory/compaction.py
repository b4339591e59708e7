"""Which turns leave the window when a conversation grows too long. Pure.

Oldest first, and whole blocks: a model's turn that asks for tools goes together with their results, since providers
refuse one without the other. What stays: the newest messages, what is asked now, what a caller pinned, and the system
prompt, which is no turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agents.llm import AssistantTurn, ToolTurn, Turn, UserTurn
from schemas.agent import Memory

NOTICE_TOKENS: Final = 64
"""What the notice takes that turns were put away."""
SUMMARY_TOKENS: Final = 1_024
"""The most that a summary of them takes."""
_PINNED_PART: Final = 4
"""A quarter of the window is for pinned turns; older ones beyond it are as others."""


@dataclass(frozen=True, slots=True)
class Window:
    """A conversation with the weight of each turn in tokens. `fixed` is what stands before it: prompt and tools.

    `marker` is what the notice takes that stands for what was put away before; 0 when nothing was. `held` are the
    indexes of what is asked now: a model must know what it works at.
    """

    turns: Sequence[Turn]
    tokens: Sequence[int]
    fixed: int = 0
    marker: int = 0
    held: frozenset[int] = frozenset()

    @property
    def used(self) -> int:
        """All of it."""
        return self.fixed + self.marker + sum(self.tokens)


def blocks(turns: Sequence[Turn]) -> Iterator[range]:
    """The indexes of what may only go together, in order; every index is in one block."""
    begin = 0
    while begin < len(turns):
        end = begin + 1
        while end < len(turns) and isinstance(turns[end], ToolTurn):
            end += 1
        yield range(begin, end)
        begin = end


def to_put_away(window: Window, settings: Memory, *, is_overflow: bool = False) -> tuple[int, ...]:
    """The indexes of the turns to put away, oldest first; none while the conversation fits, or nothing may go.

    More than `cleanup_above` tokens are brought to `cleanup_to`, what then stands for the turns included. With
    `is_overflow` the count was wrong, so it begins in any case and goes as deep in proportion.
    """
    goal = settings.cleanup_to
    if is_overflow:
        goal = min(goal, round(window.used * settings.cleanup_target))
    elif window.used <= settings.cleanup_above:
        return ()
    rest, gone = window.used - window.marker, 0
    found: list[int] = []
    for block in _free(window, settings):
        if found and rest + standing_in(gone, window, settings) <= goal:
            break
        weight = sum(window.tokens[index] for index in block)
        rest, gone = rest - weight, gone + weight
        found += block
    return tuple(found)


def is_worth_a_summary(tokens: int, settings: Memory) -> bool:
    """Whether turns of so many tokens are summarised when they are put away."""
    return tokens > settings.compression_token_threshold


def standing_in(gone: int, window: Window, settings: Memory) -> int:
    """What will stand for turns of `gone` tokens: a summary, or a notice beside the summary of before."""
    return SUMMARY_TOKENS + NOTICE_TOKENS if is_worth_a_summary(gone, settings) else max(window.marker, NOTICE_TOKENS)


def _free(window: Window, settings: Memory) -> Iterator[range]:
    """The blocks that may go: not the newest messages, not what is pinned."""
    newest = len(window.turns) - settings.min_messages_to_keep
    pinned = _pinned(window, settings) | window.held
    for block in blocks(window.turns):
        if block.stop > newest:
            return
        if pinned.isdisjoint(block):
            yield block


def _pinned(window: Window, settings: Memory) -> set[int]:
    """The newest pinned turns that have room in their part of the window."""
    left, found = settings.context_window_size // _PINNED_PART, set()
    for index in reversed(range(len(window.turns))):
        turn = window.turns[index]
        if isinstance(turn, UserTurn) and turn.kept == "pinned":
            left -= window.tokens[index]
            if left < 0:
                break
            found.add(index)
    return found


def last_answer(turns: Sequence[Turn]) -> int:
    """How many turns there are up to the model's last one, that included; 0 when it has said nothing."""
    return max((index + 1 for index, turn in enumerate(turns) if isinstance(turn, AssistantTurn)), default=0)
