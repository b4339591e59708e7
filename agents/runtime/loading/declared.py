"""Skills whose types are JSON Schemas in the agent's file: what a model is asked, and what its answer is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from agents.llm import AssistantTurn, UserTurn
from agents.runtime.loading.typed import write_output
from schemas.a2a import JsonObject, Message, Part
from schemas.agent import SkillText
from schemas.errors import UNREADABLE, FieldViolation, InvalidAgentResponse, InvalidArgument
from schemas.json_schema import JsonSchema
from schemas.names import PINNED_KEY

_FENCE = "```"


class Declared:
    """One skill of a model; without schemas it takes text and gives text."""

    def __init__(self, skill: SkillText) -> None:
        self.id = skill.id
        self._input = JsonSchema(skill.input) if skill.input else None
        self._output = JsonSchema(skill.output) if skill.output else None

    @property
    def schemas(self) -> JsonObject:
        """For the card: of the data part it takes and of the one it gives, where it is not text."""
        sides = {"input": self._input, "output": self._output}
        return {side: schema.document for side, schema in sides.items() if schema}

    @property
    def gives_text(self) -> bool:
        """Whether its answer is what the model writes, as it comes."""
        return self._output is None

    @property
    def instruction(self) -> str:
        """What the model is told of the form of its answer."""
        if self._output is None:
            return ""
        schema = msgspec.json.encode(self._output.document).decode()
        return f"Answer with one JSON value and nothing else. It must match this JSON Schema:\n{schema}"

    def question(self, message: Message) -> str:
        """What the caller sent, for the model.

        Raises:
            InvalidArgument: it does not match the input schema, or is no text where there is none.
        """
        if self._input is None:
            return text_of(message)
        for number, part in enumerate(message.parts):
            if part.data is not msgspec.UNSET:
                if wrong := self._input.violations(part.data, f"message.parts[{number}].data"):
                    raise InvalidArgument(f"{wrong[0].field}: {wrong[0].description}", violations=wrong)
                return msgspec.json.encode(part.data).decode()
        wanted = "no data: send a data part; the card has its JSON Schema"
        raise InvalidArgument(
            f"skill {self.id} takes a data part; the card has its JSON Schema",
            violations=(FieldViolation("message.parts", wanted),),
        )

    def answer(self, text: str) -> tuple[Part, ...]:
        """What the model wrote, as parts.

        Raises:
            InvalidAgentResponse: it is not JSON, or does not match the output schema.
        """
        if self._output is None:
            return write_output(text)
        try:
            value: Any = msgspec.json.decode(_bare(text))
        except UNREADABLE:
            raise InvalidAgentResponse(f"skill {self.id}: the model did not answer with JSON") from None
        if wrong := self._output.violations(value, "data"):
            raise InvalidAgentResponse(
                f"skill {self.id}: the model's answer does not match: {wrong[0].field}: {wrong[0].description}"
            )
        return (Part(data=value, media_type="application/json"),)


def text_of(message: Message) -> str:
    """The text of a message to a model.

    Raises:
        InvalidArgument: there is none.
    """
    text = message.text()
    if not text:
        violation = FieldViolation("message.parts", "no text")
        raise InvalidArgument("this agent answers text", violations=(violation,))
    return text


def turns_of(messages: Sequence[Message]) -> tuple[UserTurn | AssistantTurn, ...]:
    """What was said in a task after its first message, for a model: texts, and data as JSON.

    Messages without either are left out. Whatever a caller says is a turn of the user.
    """
    said = [(message, _spoken(message)) for message in messages]
    return tuple(
        UserTurn(text=text, kept=kept_in(message)) if message.role == "ROLE_USER" else AssistantTurn(text=text)
        for message, text in said
        if text
    )


def kept_in(message: Message) -> Literal["", "pinned"]:
    """Whether its caller wants the memory to keep it."""
    return "pinned" if message.metadata.get(PINNED_KEY) is True else ""


def _spoken(message: Message) -> str:
    data = [msgspec.json.encode(part.data).decode() for part in message.parts if part.data is not msgspec.UNSET]
    return "\n".join(([message.text()] if message.text() else []) + data)


def _bare(text: str) -> str:
    """Without the fence that models like to put around JSON."""
    text = text.strip()
    if text.startswith(_FENCE) and text.endswith(_FENCE):
        return text.removesuffix(_FENCE).partition("\n")[2]
    return text
