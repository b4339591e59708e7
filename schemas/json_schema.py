"""JSON Schemas that an agent's file declares: checked when it is read, and applied to values.

A schema is data of an agent, which proposes changes of itself: nothing that it refers to is fetched.

Source: JSON Schema 2020-12.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, JsonValue

from schemas.errors import FieldViolation, InvalidDocument


class JsonSchema:
    """A schema in force. `document` is what was declared."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Make it ready for use.

        Raises:
            InvalidDocument: it is not a JSON Schema, or refers to what it does not hold.
        """
        # only agents that declare schemas pay for these
        import jsonschema
        import referencing
        import referencing.exceptions
        import referencing.jsonschema

        kind = jsonschema.Draft202012Validator
        try:
            kind.check_schema(document)
            registry: Any = referencing.Registry()
            for reference in _references(document):
                resource = referencing.jsonschema.DRAFT202012.create_resource(document)
                registry.resolver_with_root(resource).lookup(reference)
        except jsonschema.SchemaError as error:
            raise InvalidDocument(f"not a JSON Schema: {error.message} at {error.json_path}") from None
        except referencing.exceptions.Unresolvable as error:
            raise InvalidDocument(f"$ref {error.ref!r} is not in the schema, and nothing is fetched") from None
        self.document = document
        self._validator = kind(document, registry=registry)

    def violations(self, value: Any, path: str) -> tuple[FieldViolation, ...]:
        """What is wrong with `value`, which stands at `path` of its message; nothing when it matches."""
        found = sorted(self._validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
        return tuple(FieldViolation(path + error.json_path.removeprefix("$"), error.message) for error in found)


def _usable(document: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        JsonSchema(document)
    except InvalidDocument as error:
        raise ValueError(str(error)) from None
    return document


Declared = Annotated[dict[str, JsonValue], AfterValidator(_usable)]
"""A JSON Schema as a value of a file; one that is none is refused where the file is read."""


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [reference for item in value for reference in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value[name] for name in ("$ref", "$dynamicRef") if isinstance(value.get(name), str)]
    return own + [reference for item in value.values() for reference in _references(item)]
