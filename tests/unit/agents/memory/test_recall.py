"""Looking into what was put away: the best matches, bounded."""

from __future__ import annotations

from agents.llm import AssistantTurn, ToolCall, ToolResult, ToolTurn, UserTurn
from agents.memory.recall import EXCERPT_CHARS, MOST, found_in
from agents.memory.session import Kept

ARCHIVED = (
    Kept(turn=UserTurn(text="My dog is called Rex."), at="t1"),
    Kept(turn=AssistantTurn(text="What a name for a dog!", tool_calls=(ToolCall(id="1", name="read"),)), at="t2"),
    Kept(turn=ToolTurn(results=(ToolResult(call_id="1", name="read", text="The GRÜN file"),)), at="t3"),
    Kept(turn=UserTurn(text="x" * 5_000 + " needle " + "y" * 5_000), at="t4"),
)


def test_the_best_matches_come_first() -> None:
    """By how many of the words a message has, the newest of equals first, whatever the case."""
    found = found_in(ARCHIVED, "DOG called", 5)
    assert found.startswith("2 of 4 messages that are not shown match; the best 2:")
    assert found.index("Rex") < found.index("What a name")
    assert "[message 1, t1]" in found
    assert "The GRÜN file" in found_in(ARCHIVED, "grün", 5)
    assert "other" in found_in(ARCHIVED, "cat", 5)


def test_what_is_found_is_bounded() -> None:
    """A long message is shown around the word; however many match, the answer stays short."""
    found = found_in(ARCHIVED, "needle", 1)
    assert "needle" in found
    assert len(found) < EXCERPT_CHARS + 200
    many = tuple(Kept(turn=UserTurn(text="word " * 5_000)) for _ in range(500))
    assert len(found_in(many, "word", MOST)) < MOST * (EXCERPT_CHARS + 100) + 200
