"""The tool by which a model looks into what was put away of the conversation that it is in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import Field

from agents.context import Context
from agents.llm import Tool
from agents.tools.row import Row
from schemas.documents import Document

from .memories import Memories
from .session import Kept
from .summary import said_in

NAME: Final = "recall"
DESCRIPTION: Final = (
    "Find earlier messages of this conversation that are not shown any more, by words that stand in them. "
    "Gives excerpts of the best matches, word for word."
)
EXCERPT_CHARS: Final = 800
MOST: Final = 10


class Recall(Document):
    """What to look for."""

    words: str = Field(min_length=1, max_length=200, description="words that stand in the messages; not a question")
    limit: int = Field(5, ge=1, le=MOST, description="how many messages at most")


def recall_row(memories: Memories) -> Row:
    """The tool, for an agent with these memories."""

    async def run(arguments: Recall, context: Context) -> str:
        memory = memories.at_work(context)
        window = memory.window if memory else None
        if window is None or not window.archived:
            return "Everything of this conversation that is kept is shown; nothing else can be found."
        return found_in(window.archived, arguments.words, arguments.limit)

    return Row(Tool(name=NAME, description=DESCRIPTION, input=Recall), run, has_effects=False)


def found_in(archived: Sequence[Kept], words: str, limit: int) -> str:
    """The turns with the most of `words`, the newest of equals first, for a model."""
    texts = [said_in(kept.turn) for kept in archived]
    matches = best_matches(texts, words)
    best = matches[:limit]
    if not best:
        return f"None of the {len(archived)} messages that are not shown has one of these words; try others."
    wanted = _wanted(words)
    shown = [f"[message {number + 1}, {archived[number].at}]\n{_excerpt(texts[number], wanted)}" for number in best]
    more = f"{len(matches)} of {len(archived)} messages that are not shown match; the best {len(best)}:"
    return "\n\n".join((more, *shown))


def best_matches(texts: Sequence[str], words: str) -> list[int]:
    """The places of those texts that have one of `words`: those with the most first, the last of equals first."""
    wanted = _wanted(words)
    scored = [(sum(word in text.casefold() for word in wanted), number) for number, text in enumerate(texts)]
    return [number for score, number in sorted(scored, reverse=True) if score]


def _wanted(words: str) -> set[str]:
    return set(words.casefold().split())


def _excerpt(text: str, wanted: set[str]) -> str:
    """The part of a message around the first of the words."""
    if len(text) <= EXCERPT_CHARS:
        return text
    lowered = text.casefold()
    first = min(place for word in wanted if (place := lowered.find(word)) >= 0)
    begin = max(0, min(first - EXCERPT_CHARS // 4, len(text) - EXCERPT_CHARS))
    piece = text[begin : begin + EXCERPT_CHARS]
    return ("…" if begin else "") + piece + ("…" if begin + EXCERPT_CHARS < len(text) else "")
