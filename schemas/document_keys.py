"""Every key that a document may have: where it stands, what it takes, its default and its bounds.

A path is written as people write it: `llm.pool[].model` in each item of a list, `limits.callers.<name>.burst`
in each entry of a mapping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.documents import Document

_BOUNDS = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "minItems": "≥ {} entries", "maxItems": "≤ {} entries", "minProperties": "≥ {} entries",
    "maxProperties": "≤ {} entries", "minLength": "≥ {} characters", "maxLength": "≤ {} characters",
    "pattern": "matches `{}`",
}  # fmt: skip
_WORDS = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false",
    "array": "list", "object": "mapping", "null": "nothing",
}  # fmt: skip
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `default` is None where the key has to be there; a section of further keys has `kind` "section"."""

    path: str
    kind: str
    default: Any
    has_default: bool
    bounds: tuple[str, ...]
    description: str


def keys_of(kind: type[Document]) -> Iterator[Key]:
    """Every key of the document, each section before what is in it."""
    schema = kind.model_json_schema()
    yield from _properties(schema, schema, "", 0)


def _properties(node: dict[str, Any], schema: dict[str, Any], prefix: str, depth: int) -> Iterator[Key]:
    required = node.get("required", ())
    for name, value in node.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield Key(
            path,
            _kind(value, schema),
            value.get("default"),
            name not in required,
            tuple(dict.fromkeys(_bounds(value, schema))),
            value.get("description", ""),
        )
        if depth < _MAX_DEPTH:
            yield from _below(value, schema, path, depth + 1)


def _below(value: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Iterator[Key]:
    """The keys of the sections that `value` may be or hold."""
    for option in _options(value, schema):
        yield from _properties(option, schema, f"{path}.", depth)
        if isinstance(option.get("items"), dict):
            yield from _below(option["items"], schema, f"{path}[]", depth)
        for entry in _entries(option):
            yield from _below(entry, schema, f"{path}.<name>", depth)


def _options(value: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What `value` may be, references followed, without null."""
    found = [_resolved(option, schema) for option in (*value.get("anyOf", ()), *value.get("oneOf", ()))] or [
        _resolved(value, schema)
    ]
    return [option for option in found if option.get("type") != "null"]


def _resolved(value: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = value.get("$ref")
    return dict(schema["$defs"][reference.rsplit("/", 1)[1]]) if reference else value


def _entries(option: dict[str, Any]) -> list[dict[str, Any]]:
    """What the entries of a mapping may be."""
    found = (option.get("additionalProperties"), *option.get("patternProperties", {}).values())
    return [entry for entry in found if isinstance(entry, dict) and entry]


def _kind(value: dict[str, Any], schema: dict[str, Any]) -> str:
    return " or ".join(dict.fromkeys(_kind_of_option(option, schema) for option in _options(value, schema)))


def _kind_of_option(option: dict[str, Any], schema: dict[str, Any]) -> str:
    if "enum" in option or "const" in option:
        return " or ".join(f"`{each}`" for each in option.get("enum", [option.get("const")]))
    if "properties" in option:
        return "section"
    if isinstance(option.get("items"), dict):
        return f"list of {_plural(_kind(option['items'], schema))}"
    if entries := _entries(option):
        return f"mapping of name to {_kind(entries[0], schema)}"
    return _WORDS.get(str(option.get("type")), "any value")


def _plural(kind: str) -> str:
    known = {"section": "sections", "text": "texts", "whole number": "whole numbers", "number": "numbers"}
    return known.get(kind, kind)


def _bounds(value: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Of the value itself and of a list's items; an item's are said to be so."""
    for option in _options(value, schema):
        yield from (words.format(option[name]) for name, words in _BOUNDS.items() if name in option)
        if isinstance(option.get("items"), dict):
            inner = [bound for item in _options(option["items"], schema) for bound in _own_bounds(item)]
            yield from (f"each {bound}" for bound in inner)


def _own_bounds(option: dict[str, Any]) -> Iterator[str]:
    return (words.format(option[name]) for name, words in _BOUNDS.items() if name in option)
