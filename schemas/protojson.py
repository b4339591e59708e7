"""Bytes to A2A objects and back, the ProtoJSON way.

Input may use snake_case names and explicit nulls (real clients send both); output is always
camelCase without defaults. The fast path is one msgspec decode; only input that needs it is
rewritten first.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, cast

import msgspec

from schemas.errors import UNREADABLE, FieldViolation, InvalidArgument

_SNAKE_KEY = re.compile(rb'"[A-Za-z0-9]+_[A-Za-z0-9_]*"\s*:')
_OPAQUE = frozenset({"data", "metadata", "params", "header", "input", "output"})
"""Keys whose values belong to the user and are never renamed."""
_MAPS = frozenset({"securitySchemes", "schemes", "scopes"})
"""Keys whose values are maps: the names in them belong to the user, the values to the protocol."""
_BESIDE_DATA = ("text", "raw", "url")
_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)


@lru_cache(maxsize=128)
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast(Any, kind))


def encode(value: object) -> bytes:
    """The ProtoJSON bytes of an A2A object."""
    return msgspec.json.encode(value)


def decode[T](data: bytes, kind: type[T]) -> T:
    """Read an A2A object of type `kind`.

    Raises:
        InvalidArgument: not JSON, or not such an object; the violation names the field by its path.
    """
    decoder = _decoder(cast(Hashable, kind))
    try:
        if not _SNAKE_KEY.search(data):
            return cast(T, decoder.decode(data))
    except msgspec.ValidationError:
        pass  # nulls and the like: the tolerant path below decides
    except UNREADABLE as error:
        raise InvalidArgument(f"the payload is not JSON: {error}") from None
    return _decode_tolerantly(data, kind)


def _decode_tolerantly[T](data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.convert(_normal(msgspec.json.decode(data)), kind)
    except msgspec.ValidationError as error:
        raise InvalidArgument(
            f"the payload is not a {kind.__name__}: {error}", violations=(violation_of(error),)
        ) from None
    except UNREADABLE as error:
        raise InvalidArgument(f"the payload is not JSON: {error}") from None


def violation_of(error: msgspec.ValidationError, prefix: str = "") -> FieldViolation:
    """What msgspec complains of, with the path in the document's own notation."""
    match = _PATH.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    return FieldViolation((prefix + path).lstrip("."), what)


def _normal(value: Any) -> Any:
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    normal: dict[str, Any] = {}
    for key, item in value.items():
        name = _camel(key)
        if item is None and (name != "data" or any(value.get(other) is not None for other in _BESIDE_DATA)):
            continue  # ProtoJSON: null is the default, but a data part may well be null
        if name in _MAPS and isinstance(item, dict):
            normal[name] = {own: _normal(value) for own, value in item.items()}
        else:
            normal[name] = item if name in _OPAQUE else _normal(item)
    return normal


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)
