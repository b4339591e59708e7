"""No secret of this process leaves for a provider."""

from __future__ import annotations

import base64

import pytest

from agents.llm.conversation import (
    AssistantTurn,
    Completion,
    SystemPrompt,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)
from agents.llm.errors import PoolUnusable
from agents.llm.outgoing import without_secrets
from schemas import redaction
from schemas.agent import Llm, ModelChoice

KEY = "zq-other-provider-4417"
TURNS: tuple[Turn, ...] = (
    UserTurn(text=f"my key is {KEY}, use it"),
    AssistantTurn(text="well", tool_calls=(ToolCall(id="1", name="read", input={"path": KEY, KEY: [KEY]}),)),
    ToolTurn(results=(ToolResult(call_id="1", name="read", text=base64.b64encode(f"x{KEY}".encode()).decode()),)),
)


@pytest.fixture(autouse=True)
def _one_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = redaction.Secrets()
    secrets.add(KEY)
    monkeypatch.setattr("agents.llm.outgoing.REGISTERED", secrets)


def completion(*turns: Turn, prompt: str = "You help.") -> Completion:
    """A question of these turns."""
    llm = Llm(system_prompt=prompt, pool=(ModelChoice(provider="offline"),))
    return Completion(system=SystemPrompt(llm), turns=turns)


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: type(turn).__name__)
def test_a_secret_is_taken_out_of_every_kind_of_turn(turn: Turn) -> None:
    """A registered value leaves in no turn, as it stands or in base64; the turn keeps its kind."""
    [clean] = without_secrets(completion(turn)).turns
    assert type(clean) is type(turn)
    assert KEY not in repr(clean)
    assert "[redacted]" in repr(clean)


def test_what_holds_none_is_the_same_object() -> None:
    """Where there is nothing to take out, nothing is copied."""
    asked = completion(UserTurn(text="hello"))
    assert without_secrets(asked) is asked


def test_a_prompt_with_a_secret_is_refused() -> None:
    """Nobody but the operator can have put it there, so the operator is told; the value is not repeated."""
    with pytest.raises(PoolUnusable, match="system prompt holds a secret") as refused:
        without_secrets(completion(UserTurn(text="hello"), prompt=f"The key is {KEY}."))
    assert KEY not in str(refused.value)
