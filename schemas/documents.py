"""Text that people and models write (YAML, TOML later): read with pydantic, refused with advice.

Errors name the file, the key and the fix; an unknown key is answered with the nearest known one.
"""

from __future__ import annotations

import difflib
from typing import Any

import pydantic
import yaml

from schemas.errors import InvalidDocument

_NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""PyYAML lets the errors of its converters through: of dates, of numbers, of tags that do not fit their value."""


class Document(pydantic.BaseModel):
    """The base of every document and of every section in one: unknown keys are refused, values frozen."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)


def parse_yaml[T: Document](text: str, kind: type[T], where: str) -> T:
    """Read `text` as a `kind`; `where` (a file name) stands in every message.

    Raises:
        InvalidDocument: not YAML, or not such a document; every problem is named at once, a line each.
    """
    return parse_value(load_yaml(text, where), kind, where)


def load_yaml(text: str | bytes, where: str) -> Any:
    """The plain values that `text` holds.

    Raises:
        InvalidDocument: it is not YAML, or holds a value that cannot be (a thirteenth month).
    """
    try:
        return yaml.safe_load(text)
    except _NOT_YAML as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise InvalidDocument(f"{where}: not YAML{line}: {getattr(error, 'problem', None) or error}") from None


def parse_value[T: Document](value: Any, kind: type[T], where: str) -> T:
    """Read an already decoded `value` as a `kind`. Raises as `parse_yaml`."""
    try:
        return kind.model_validate(value if value is not None else {})
    except pydantic.ValidationError as error:
        problems = [_advice(problem, kind) for problem in error.errors(include_url=False)]
        raise InvalidDocument("\n".join(f"{where}: {problem}" for problem in problems)) from None


def _advice(problem: Any, kind: type[Document]) -> str:
    path = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(kind, problem["loc"])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(sorted(known))}"
        return f"unknown key {path!r}; {hint}"
    if problem["type"] == "missing":
        return f"key {path!r} is missing"
    return f"{path or 'the document'}: {problem['msg'].removeprefix('Value error, ')}"


def _keys_beside(kind: type[Document], path: tuple[str | int, ...]) -> list[str]:
    """The keys that were possible where the unknown one stood."""
    schema = kind.model_json_schema()
    node = schema
    for step in path[:-1]:
        node = _resolve(node, schema)
        below = (node.get("items"), node.get("additionalProperties"), *node.get("patternProperties", {}).values())
        named = node.get("properties", {}).get(step)
        node = named or next((each for each in below if isinstance(each, dict)), {})
    return list(_resolve(node, schema).get("properties", {}))


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", [node]):
        reference = option.get("$ref")
        if reference:
            return dict(schema["$defs"][reference.rsplit("/", 1)[1]])
    return node
