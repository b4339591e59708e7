"""Tools as the loop runs them: a name, a typed input, and the errors that the model may see."""

from __future__ import annotations

import msgspec

from schemas.a2a import JsonObject
from schemas.documents import Document, parse_value
from schemas.errors import InvalidDocument

from .conversation import ToolCall, ToolSpec


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Something the model may ask for. `input` is the type its arguments must have; unknown keys are refused."""

    name: str
    description: str
    input: type[Document]

    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        schema: JsonObject = self.input.model_json_schema()
        return ToolSpec(name=self.name, description=self.description, input_schema=schema)

    def arguments(self, call: ToolCall) -> Document:
        """The call's arguments as the tool's input.

        Raises:
            InvalidDocument: they are not such an input; every wrong key is named.
        """
        if call.problem:
            raise InvalidDocument(f"{self.name}: {call.problem}")
        return parse_value(call.input, self.input, self.name)
