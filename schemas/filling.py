"""Texts with places to be filled: `{{name}}`, `{{name.field}}`, `{{name?}}`. Nothing else happens in them.

What is filled in is never looked at again, so a text that holds `{{` of its own changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from .errors import InvalidDocument

_PLACE = re.compile(r"\{\{\s*([a-z][a-z0-9_-]{0,62})((?:\.[A-Za-z0-9_]{1,64}){0,8})(\?)?\s*\}\}")


class Place(NamedTuple):
    """A place in a text: whose value, which field of it, and whether it may be missing."""

    name: str
    fields: tuple[str, ...]
    is_optional: bool


class Value(NamedTuple):
    """What a place is filled with: as text, and as the data that its fields are looked up in."""

    text: str
    data: Any = None


def places_in(text: str) -> list[Place]:
    """The places of a text.

    Raises:
        InvalidDocument: it has braces that are no place.
    """
    left = _PLACE.sub("", text)
    if "{{" in left:
        begin = left.index("{{")
        raise InvalidDocument(
            f"{left[begin : begin + 40]!r} is no place to fill: write {{{{name}}}}, {{{{name.field}}}} or {{{{name?}}}}"
        )
    return [_place(match) for match in _PLACE.finditer(text)]


def filled(text: str, values: Mapping[str, Value]) -> str:
    """The text with its places filled.

    Raises:
        InvalidDocument: one has no value, or its value no such field.
    """
    return _PLACE.sub(lambda match: _as_text(_value(_place(match), values)), text)


def filled_value(template: Any, values: Mapping[str, Value]) -> Any:
    """Data with its texts filled; a text that is one place and nothing else becomes the value itself. Raises as `filled`."""
    if isinstance(template, str):
        match = _PLACE.fullmatch(template.strip())
        if match is None:
            return filled(template, values)
        found = _value(_place(match), values)
        return found.text if isinstance(found, Value) else found
    if isinstance(template, Mapping):
        return {key: filled_value(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled_value(item, values) for item in template]
    return template


def texts_in(template: Any) -> list[str]:
    """Every text in data that may have places."""
    if isinstance(template, str):
        return [template]
    items = (
        template.values() if isinstance(template, Mapping) else template if isinstance(template, list | tuple) else ()
    )
    return [text for item in items for text in texts_in(item)]


def _place(match: re.Match[str]) -> Place:
    return Place(match[1], tuple(match[2].split(".")[1:]), bool(match[3]))


def _value(place: Place, values: Mapping[str, Value]) -> Any:
    found: Any = values.get(place.name)
    if found is None:
        if place.is_optional:
            return ""
        raise InvalidDocument(
            f"{{{{{place.name}}}}} has no value yet; write {{{{{place.name}?}}}} where it may be missing"
        )
    for depth, field in enumerate(place.fields):
        inside = found.data if depth == 0 else found
        if not isinstance(inside, Mapping) or field not in inside:
            if place.is_optional:
                return ""
            raise InvalidDocument(f"{place.name} gave nothing called {'.'.join(place.fields)!r}")
        found = inside[field]
    return found


def _as_text(found: Any) -> str:
    if isinstance(found, Value):
        return found.text
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()
