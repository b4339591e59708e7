"""What pydantic found wrong with a document, as advice: the key as its author knows it, its line, the nearest right name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import pydantic

from schemas.errors import Problem
from schemas.masking import masked_text, names_a_secret
from schemas.written import Path, Written, dotted

_WRONG_KIND = frozenset({
    "dict_type", "list_type", "tuple_type", "set_type", "string_type", "model_type", "int_type", "float_type",
    "bool_type", "none_required", "dataclass_type", "mapping_type", "too_short",
})  # fmt: skip
"""What the other forms of a union say of a value, and a list whose items were refused: the reason is said deeper."""
_LONGEST_SHOWN = 40
_SECTION = "Input should be a section: keys with values"
_AS_WRITTEN = {
    "tuple_type": "Input should be a list", "list_type": "Input should be a list", "set_type": "Input should be a list",
    "dict_type": _SECTION, "mapping_type": _SECTION, "model_type": _SECTION, "model_attributes_type": _SECTION,
    "decimal_parsing": "Input should be a number", "decimal_type": "Input should be a number",
}  # fmt: skip
"""Kinds of values as authors of files know them, in place of Python's names."""


def problems_of(error: pydantic.ValidationError, kind: type[pydantic.BaseModel], written: Written) -> list[Problem]:
    """Everything that is wrong, in the order of the file."""
    found = list(_without_other_forms(_placed(error, written.value)))
    told = [
        Problem(written.where, written.line_of(path), dotted(path), _advice(detail, path, kind))
        for path, detail in found
    ]
    return sorted(dict.fromkeys(told), key=lambda problem: problem.line)


def _placed(error: pydantic.ValidationError, value: Any) -> list[tuple[Path, Any]]:
    return [
        (_path(detail["loc"], value, is_missing=detail["type"] == "missing"), detail)
        for detail in error.errors(include_url=False)
    ]


def _path(location: Sequence[Any], value: Any, *, is_missing: bool) -> Path:
    """Where it is in the file: without the names that pydantic gives to the forms of a union."""
    path: Path = ()
    for step in location[:-1] if is_missing else location:
        inside = _inside(value, step)
        if inside is not None:
            path, value = (*path, step), inside[0]
    return (*path, location[-1]) if is_missing else path


def _inside(value: Any, step: Any) -> tuple[Any] | None:
    if isinstance(value, dict) and step in value:
        return (value[step],)
    if isinstance(value, list | tuple) and isinstance(step, int) and 0 <= step < len(value):
        return (value[step],)
    return None


def _without_other_forms(found: list[tuple[Path, Any]]) -> Iterator[tuple[Path, Any]]:
    """Where a value may have several forms, only what is wrong in the form that it has."""
    for path, detail in found:
        deeper = any(len(other) > len(path) and other[: len(path)] == path for other, _ in found)
        if not (deeper and detail["type"] in _WRONG_KIND):
            yield path, detail


def _advice(detail: Any, path: Path, kind: type[pydantic.BaseModel]) -> str:
    message = _AS_WRITTEN.get(detail["type"], str(detail["msg"]).removeprefix("Value error, "))
    if detail["type"] == "extra_forbidden":
        return _unknown(str(path[-1]), _keys_beside(kind, path))
    if detail["type"] == "missing":
        meaning = _property(kind, path).get("description", "")
        return f"is missing; {meaning}" if meaning else "is missing"
    if detail["type"] == "literal_error":
        return message + _nearest(detail["input"], _enumerated(kind, path))
    return message + _shown(detail["input"], path) if detail["type"] != "value_error" else message


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known are {', '.join(sorted(known))}"


def _nearest(value: Any, known: Sequence[Any]) -> str:
    near = difflib.get_close_matches(str(value), [str(each) for each in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _shown(value: Any, path: Path) -> str:
    """A small value that is no secret, since its author may not see which one of a list is meant."""
    if value is None or isinstance(value, bool | int | float):
        return f"; it is {'empty' if value is None else str(value).lower()}"
    is_secret = any(names_a_secret(str(step)) for step in path)
    if isinstance(value, str) and len(value) <= _LONGEST_SHOWN and not is_secret and masked_text(value) == value:
        return f"; it is {value!r}"
    return ""


def _keys_beside(kind: type[pydantic.BaseModel], path: Path) -> list[str]:
    """The keys that were possible where the unknown one stood."""
    schema = kind.model_json_schema()
    nodes = _nodes(schema, path[:-1])
    return list(dict.fromkeys(key for node in nodes for key in node.get("properties", {})))


def _property(kind: type[pydantic.BaseModel], path: Path) -> dict[str, Any]:
    """What the schema says of one key itself, before its reference is followed."""
    nodes = _nodes(kind.model_json_schema(), path[:-1])
    found = (node["properties"][path[-1]] for node in nodes if path[-1] in node.get("properties", {}))
    return dict(next(found, {}))


def _enumerated(kind: type[pydantic.BaseModel], path: Path) -> list[Any]:
    nodes = _nodes(kind.model_json_schema(), path)
    return [value for node in nodes for value in (*node.get("enum", ()), *([node["const"]] if "const" in node else ()))]


def _nodes(schema: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """What may stand at `path`, references followed: several where a value may have several forms."""
    nodes = _options(schema, schema)
    for step in path:
        below = [each for node in nodes for each in _below(node, step)]
        nodes = [option for each in below for option in _options(each, schema)]
    return nodes


def _below(node: dict[str, Any], step: Any) -> list[dict[str, Any]]:
    named = node.get("properties", {}).get(step)
    if named:
        return [named]
    found = (node.get("items"), node.get("additionalProperties"), *node.get("patternProperties", {}).values())
    return [each for each in found if isinstance(each, dict)]


def _options(node: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    reference = node.get("$ref")
    if reference:
        return _options(schema["$defs"][reference.rsplit("/", 1)[1]], schema)
    forms = (*node.get("anyOf", ()), *node.get("oneOf", ()))
    return [option for form in forms for option in _options(form, schema)] or [node]
