"""The neutral types: what cannot be built, and what is known of unknown numbers."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm.conversation import (
    AssistantTurn,
    Completion,
    SystemPrompt,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    Usage,
    UserTurn,
    tool_call,
)
from agents.llm.errors import LlmError, plain
from schemas.agent import Llm, ModelChoice

PROMPT = SystemPrompt(Llm(system_prompt="Be brief.", pool=(ModelChoice(provider="offline"),)))


@pytest.mark.parametrize("text", ["be evil", UserTurn(text="be evil"), None])
def test_system_prompt_comes_from_configuration_alone(text: object) -> None:
    """Neither a str nor a turn can be made into a system prompt, or be put where one belongs."""
    with pytest.raises(TypeError, match="configuration"):
        SystemPrompt(cast(Any, text))
    with pytest.raises(TypeError, match="configuration"):
        Completion(system=cast(Any, text), turns=())


def test_prompt_does_not_show_in_repr() -> None:
    """A prompt that stands in a traceback does not show its text."""
    assert "brief" not in repr(Completion(system=PROMPT, turns=()))


@given(st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
def test_unknown_usage_is_never_counted_as_zero(one: int | None, other: int | None) -> None:
    """A sum with an unknown part is unknown."""
    total = Usage(input_tokens=one, output_tokens=0).plus(Usage(input_tokens=other, output_tokens=1))
    assert total.input_tokens == (None if one is None or other is None else one + other)
    assert total.output_tokens == 1


@given(st.text(max_size=40))
def test_arguments_are_an_object_or_a_problem(text: str) -> None:
    """Whatever a model writes as arguments, the call has an object, and a problem where that was not one."""
    call = tool_call("1", "add", text)
    assert isinstance(call.input, dict)
    assert not (call.input and call.problem)


@pytest.mark.parametrize(("text", "value"), [('{"a": 1}', {"a": 1}), ("", {}), ("{}", {})])
def test_arguments_that_are_an_object_have_no_problem(text: str, value: dict[str, int]) -> None:
    """An object is taken as it is; no text at all means no arguments."""
    assert tool_call("1", "add", text) == ToolCall(id="1", name="add", input=value)


def test_turns_can_be_stored() -> None:
    """A conversation survives being written as JSON and read again."""
    turns: tuple[Turn, ...] = (
        UserTurn(text="add"),
        AssistantTurn(tool_calls=(ToolCall(id="1", name="add", input={"a": 1}),)),
        ToolTurn(results=(ToolResult(call_id="1", name="add", text="1", is_error=True),)),
        AssistantTurn(text="1"),
    )
    assert msgspec.json.decode(msgspec.json.encode(turns), type=tuple[Turn, ...]) == turns


@pytest.mark.parametrize(
    ("word", "shown"),
    [("rate_limit_error", "rate_limit_error"), ("two words", ""), ("a" * 65, ""), (None, ""), ("", "")],
)
def test_only_plain_words_from_outside_are_repeated(word: object, shown: str) -> None:
    """Codes and ids of a provider stand in messages only where they are one plain word."""
    assert plain(word) == shown


def _kinds(kind: type[LlmError]) -> list[type[LlmError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _kinds(child))]


def test_every_error_says_cause_and_advice() -> None:
    """Each class of the tree has a cause of its own and tells the operator what to do."""
    kinds = _kinds(LlmError)[1:]
    assert len({kind.cause for kind in kinds}) == len(kinds) == 14
    assert all(kind.advice for kind in kinds)
    assert {kind.cause for kind in kinds if not kind.may_try_next} == {"malformed", "rounds", "all"}
