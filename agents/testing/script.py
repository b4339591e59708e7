"""A model that says what its author wrote down, turn by turn, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from agents.llm import Answer, Completion, LlmError, ToolCall, Usage
from agents.llm.providers.told import ToldProvider

_MODEL: Final = "script"
_NO_TOKENS: Final = Usage(input_tokens=0, output_tokens=0)


class Calls(msgspec.Struct, frozen=True):
    """A turn in which the model wants one tool or several. Made with `calls`; `+` joins them into one turn."""

    wanted: tuple[tuple[str, dict[str, Any]], ...]

    def __add__(self, other: Calls) -> Calls:
        return Calls(self.wanted + other.wanted)


Said = str | Calls | Answer | LlmError
"""A turn: a text, calls of tools, an answer with all its parts, or the way in which the call fails."""
Step = Said | Callable[[Completion], Said]
"""A turn, or a function that makes it of the question."""


def calls(tool: str, **arguments: Any) -> Calls:
    """The turn in which the model calls `tool`; join several with `+`."""
    return Calls(((tool, arguments),))


class Script(ToldProvider):
    """The provider behind a trial. `questions` are the completions that it was asked, in order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self.questions: list[Completion] = []

    @property
    def left(self) -> tuple[Step, ...]:
        """The turns that nobody asked for yet."""
        return self._steps[len(self.questions) :]

    def answer(self, completion: Completion) -> Answer:
        """The next turn.

        Raises:
            AssertionError: the script has no turn left. LlmError: the turn is one.
        """
        left = self.left
        self.questions.append(completion)
        number = len(self.questions)
        if not left:
            raise AssertionError(f"the model is asked for the {number}. time, and the script has {number - 1} turns")
        said = left[0](completion) if callable(left[0]) else left[0]
        if isinstance(said, LlmError):
            raise said
        return _answer(said, number)


def _answer(said: str | Calls | Answer, turn: int) -> Answer:
    if isinstance(said, Answer):
        return said
    if isinstance(said, str):
        return Answer(text=said, model=_MODEL, stop_reason="end", usage=_NO_TOKENS)
    made = tuple(
        ToolCall(id=f"call-{turn}-{number}", name=name, input=arguments)
        for number, (name, arguments) in enumerate(said.wanted, 1)
    )
    return Answer(text="", model=_MODEL, stop_reason="tool_calls", tool_calls=made, usage=_NO_TOKENS)
