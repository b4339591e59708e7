"""What the stand-in answers where its prompt asks for JSON of a schema: a value of that form, the same each time.

It is no judgement: numbers are as high as the schema lets them be, texts say that no model wrote them.
"""

from __future__ import annotations

import json
from typing import Any, Final

_MARK: Final = "It must match this JSON Schema:\n"
"""What the prompt of a skill with an output schema says before it."""
_TEXT: Final = "The offline stand-in wrote this; it is not a model."
_DEEPEST: Final = 8


def in_form(prompt: str) -> str | None:
    """A value as the prompt's schema wants it, as JSON; None where the prompt has none."""
    _, mark, behind = prompt.partition(_MARK)
    if not mark:
        return None
    try:
        schema, _ = json.JSONDecoder().raw_decode(behind)
    except ValueError:
        return None
    return json.dumps(_value(schema, 0))


def _value(schema: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _value(schema[key][0], depth + 1)
    kind = schema.get("type")
    first = kind[0] if isinstance(kind, list) and kind else kind
    return _OF_TYPE.get(str(first), _nothing)(schema, depth)


def _object(schema: dict[str, Any], depth: int) -> Any:
    return {name: _value(inner, depth + 1) for name, inner in schema.get("properties", {}).items()}


def _array(schema: dict[str, Any], depth: int) -> Any:
    return [_value(schema.get("items"), depth + 1) for _ in range(min(int(schema.get("minItems", 0)), 100))]


def _number(schema: dict[str, Any], _: int) -> Any:
    return schema.get("maximum", schema.get("minimum", 0))


def _text(schema: dict[str, Any], _: int) -> Any:
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", len(_TEXT)))
    return _TEXT[:most].ljust(min(least, 10_000), ".")


def _true(_schema: dict[str, Any], _: int) -> Any:
    return True


def _nothing(_schema: dict[str, Any], _: int) -> Any:
    return None


_OF_TYPE: Final = {
    "object": _object, "array": _array, "integer": _number, "number": _number, "string": _text, "boolean": _true
}  # fmt: skip
