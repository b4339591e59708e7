"""What is said to a model and what it answers, in no provider's dialect. No I/O.

System text and user text have different types: `Completion.system` takes a `SystemPrompt`, which is
made from the agent's configuration and from nothing else, so what a caller wrote cannot become an
instruction of ours by a slip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import msgspec

from schemas.a2a import JsonObject
from schemas.agent import Llm

StopReason = Literal["end", "tool_calls", "length"]
"""Why the model stopped: it was done, it wants tools to run, or `max_tokens` or its window was reached."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class SystemPrompt:
    """The operator's instructions: the prompt of one configuration, and what it says of the answer's form.

    Raises:
        TypeError: made from anything but the `llm` section of an agent's file.
    """

    source: Llm
    form: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.source, Llm):
            raise TypeError("a system prompt comes from the configuration alone; text of a caller is a UserTurn")

    @property
    def text(self) -> str:
        """The prompt as the configuration has it."""
        return f"{self.source.system_prompt}\n\n{self.form}" if self.form else self.source.system_prompt

    def __repr__(self) -> str:
        return f"SystemPrompt({len(self.text)} characters)"


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model wants to run. `problem` says why `input` is empty when it was no JSON object."""

    id: str
    name: str
    input: JsonObject = {}
    problem: str = ""


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the call `call_id`."""

    call_id: str
    name: str
    text: str
    is_error: bool = False


class UserTurn(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="user"):
    """What the caller wrote. Untrusted, also where it is kept.

    `kept` is why the memory never puts it away: the caller wants it to stay, or it stands for what was put away.
    """

    text: str
    kept: Literal["", "pinned", "summary"] = ""


class AssistantTurn(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="assistant"):
    """What a model wrote, and the tools it asked for."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class ToolTurn(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="tools"):
    """The results of all calls of the assistant's turn before it. Providers refuse a call without its result."""

    results: tuple[ToolResult, ...]


Turn = UserTurn | AssistantTurn | ToolTurn


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as the model sees it; `input_schema` is a JSON Schema of type object."""

    name: str
    description: str
    input_schema: JsonObject


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a model. `max_tokens` unset means the model choice's own; it never raises that one.

    Raises:
        TypeError: `system` is not a `SystemPrompt`.
    """

    system: SystemPrompt
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int | None = None
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not isinstance(self.system, SystemPrompt):
            raise TypeError("Completion.system takes a SystemPrompt, which only the configuration builds")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the provider counted them; None where it did not say (unknown is not 0)."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int = 0
    """Of the input: those that the provider had in its cache, as far as it says so."""
    cache_write_tokens: int = 0
    """Of the input: those that it wrote to its cache."""

    def plus(self, other: Usage) -> Usage:
        """Both together; unknown as soon as one of them is."""
        return Usage(
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the model answered. `model` is the name that the provider gives, which may be more exact than ours."""

    text: str
    model: str
    stop_reason: StopReason
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()

    def as_turn(self) -> AssistantTurn:
        """The answer as a turn of the conversation that goes on."""
        return AssistantTurn(text=self.text, tool_calls=self.tool_calls)


def tool_call(call_id: str, name: str, arguments: str) -> ToolCall:
    """A call whose arguments the model wrote as JSON text; text that is no object becomes the call's `problem`."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError as error:
        return ToolCall(id=call_id, name=name, problem=f"the arguments are not JSON: {error}")
    if not isinstance(value, dict):
        return ToolCall(id=call_id, name=name, problem="the arguments are not a JSON object")
    return ToolCall(id=call_id, name=name, input=value)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
