"""Tools as the loop runs them: a name, a typed input, and the errors that the model may see."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from schemas.a2a import JsonObject
from schemas.documents import Document, parse_value
from schemas.errors import InvalidDocument

from .conversation import ToolCall, ToolSpec


class Input(Protocol):
    """The form of a tool's arguments, where it is no `Document`."""

    @property
    def schema(self) -> JsonObject:
        """As the model sees it: a JSON Schema of type object."""

    def read(self, value: JsonObject, where: str) -> Any:
        """What the tool gets. Raises InvalidDocument: `value` is not of that form; the message says in what."""

    def plain(self, arguments: Any) -> JsonObject:
        """What `read` gave as plain JSON values, defaults included: what policies look at and approvals are for."""


class _DocumentInput:
    """Arguments that are a document; unknown keys are refused."""

    def __init__(self, kind: type[Document]) -> None:
        self._kind = kind

    @property
    def schema(self) -> JsonObject:
        return self._kind.model_json_schema()

    def read(self, value: JsonObject, where: str) -> Document:
        return parse_value(value, self._kind, where)

    def plain(self, arguments: Document) -> JsonObject:
        return arguments.model_dump(mode="json")


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Something the model may ask for. `input` is the type its arguments must have, or what reads them."""

    name: str
    description: str
    input: type[Document] | Input

    @property
    def form(self) -> Input:
        """What reads the arguments."""
        return _DocumentInput(self.input) if isinstance(self.input, type) else self.input

    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        return ToolSpec(name=self.name, description=self.description, input_schema=self.form.schema)

    def arguments(self, call: ToolCall) -> Any:
        """The call's arguments as the tool's input.

        Raises:
            InvalidDocument: they are not such an input; every wrong key is named.
        """
        if call.problem:
            raise InvalidDocument(f"{self.name}: {call.problem}")
        return self.form.read(call.input, self.name)
