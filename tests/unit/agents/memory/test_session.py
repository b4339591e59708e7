"""A stored conversation: read as it was written, and not at all when a newer agentbus wrote it."""

from __future__ import annotations

import msgspec
import pytest

from agents.llm import AssistantTurn, ToolCall, ToolResult, ToolTurn, UserTurn
from agents.memory.session import VERSION, Kept, Session, decode, encode
from schemas.errors import Internal, Unavailable

SESSION = Session(
    caller="ops",
    context_id="c-1",
    began_at="2026-01-02T03:04:05.678Z",
    written_at="2026-01-02T03:05:05.678Z",
    turns=(
        Kept(turn=UserTurn(text="Grüße"), exchange="task-1", at="2026-01-02T03:04:05.678Z"),
        Kept(turn=AssistantTurn(text="a", tool_calls=(ToolCall(id="1", name="n", input={"k": [None]}),)), exchange="m"),
        Kept(turn=ToolTurn(results=(ToolResult(call_id="1", name="n", text="t", is_error=True),)), exchange="m"),
    ),
    archived=(Kept(turn=UserTurn(text="old", kept="pinned"), exchange="m-0"),),
    forgotten=3,
    summary="what was before",
    summary_prompt="summary-v1",
    used_tokens=17,
)


def test_it_is_read_as_it_was_written() -> None:
    """All kinds of turns come back the same."""
    assert decode(encode(SESSION)) == SESSION
    assert SESSION.put_away == 4


def test_a_newer_version_is_refused_and_may_be_answered_elsewhere() -> None:
    """Nothing of it is guessed, and the caller is told that another instance may do."""
    with pytest.raises(Unavailable, match=f"format {VERSION + 1} by a newer agentbus"):
        decode(msgspec.json.encode({"version": VERSION + 1, "turns": "of another form"}))


@pytest.mark.parametrize("value", [b"", b"no", b"[]", b'{"version": 1}'])
def test_what_is_no_session_is_not_one(value: bytes) -> None:
    """It says what to do about it."""
    with pytest.raises(Internal, match="agentbus sessions delete"):
        decode(value)
