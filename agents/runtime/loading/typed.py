"""Values of a skill's declared type, in and out of A2A parts, and their JSON Schemas for the card."""

from __future__ import annotations

from typing import Any

import msgspec
import pydantic

from schemas.a2a import JsonObject, Message, Part
from schemas.errors import FieldViolation, InvalidArgument
from schemas.protojson import violation_of

TEXT = str
"""A skill whose input or output is `str` takes or gives a text part."""
FILE = Part
"""A skill whose input or output is `Part` takes or gives bytes, with a name and a media type."""


def json_schema(kind: type[Any]) -> JsonObject:
    """The JSON Schema of a data part that holds a `kind` (a msgspec Struct or a pydantic model)."""
    if issubclass(kind, pydantic.BaseModel):
        return kind.model_json_schema()
    return msgspec.json.schema(kind)


def read_input(message: Message, kind: type[Any]) -> Any:
    """The message's content as a `kind`.

    Raises:
        InvalidArgument: no such part, or it does not match; the violation has the path in the document.
    """
    if kind is TEXT:
        if not any(isinstance(part.text, str) for part in message.parts):
            raise InvalidArgument(
                "this skill takes a text part", violations=(FieldViolation("message.parts", "no text"),)
            )
        return message.text()
    if kind is FILE:
        return _file(message)
    for number, part in enumerate(message.parts):
        if part.data is not msgspec.UNSET:
            return _converted(part.data, kind, f"message.parts[{number}].data")
    schema = f"a data part of type {kind.__name__}; the card has its JSON Schema"
    raise InvalidArgument(
        f"this skill takes {schema}", violations=(FieldViolation("message.parts", f"no data: send {schema}"),)
    )


def _file(message: Message) -> Part:
    found = next((part for part in message.parts if isinstance(part.raw, bytes)), None)
    if found is None:
        raise InvalidArgument(
            "this skill takes a raw part", violations=(FieldViolation("message.parts", "no raw part"),)
        )
    return found


def _converted(value: Any, kind: type[Any], path: str) -> Any:
    try:
        if issubclass(kind, msgspec.Struct):
            return msgspec.convert(value, kind)
        return kind.model_validate(value)
    except msgspec.ValidationError as error:
        violations: tuple[FieldViolation, ...] = (violation_of(error, path),)
    except pydantic.ValidationError as error:
        violations = tuple(
            FieldViolation(".".join([path, *map(str, problem["loc"])]), problem["msg"])
            for problem in error.errors(include_url=False)
        )
    first = violations[0]
    raise InvalidArgument(f"{first.field}: {first.description}", violations=violations)


def write_output(value: Any) -> tuple[Part, ...]:
    """A skill's result as parts: text for `str`, raw for `bytes`, a part as it is, data for everything else."""
    if isinstance(value, str):
        return (Part(text=value, media_type="text/plain"),)
    if isinstance(value, Part):
        return (value,)
    if isinstance(value, bytes):
        return (Part(raw=value, media_type="application/octet-stream"),)
    # asking pydantic's metaclass costs more than all the rest here
    if not isinstance(value, msgspec.Struct) and isinstance(value, pydantic.BaseModel):
        return (Part(data=value.model_dump(mode="json"), media_type="application/json"),)
    return (Part(data=msgspec.to_builtins(value), media_type="application/json"),)
