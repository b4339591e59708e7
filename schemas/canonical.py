"""JSON in its one canonical form, so that two programs sign and verify the same bytes.

Source: RFC 8785 (JSON Canonicalization Scheme); ECMA-262 Number::toString.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal

_EXACT = 2**53
"""Whole numbers beyond it are not the same in every language."""
_PLAIN_DIGITS, _MIN_EXPONENT = 21, -6


def canonical(value: object) -> bytes:
    """The canonical bytes of what a JSON document holds.

    Raises:
        ValueError: a number that JSON or RFC 8785 cannot say exactly, half a surrogate pair, or not a JSON value.
    """
    return _text(value).encode()


def _text(value: object) -> str:
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return _number(value)
        case list() | tuple():
            return "[" + ",".join(map(_text, value)) + "]"
        case dict():
            keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
            return "{" + ",".join(f"{_text(key)}:{_text(value[key])}" for key in keys) + "}"
    raise ValueError(f"a {type(value).__name__} has no canonical JSON")


def _number(value: float) -> str:
    if isinstance(value, int) and abs(value) > _EXACT:
        raise ValueError(f"{value} is beyond 2^53; write it as a string")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("JSON has no infinity and no NaN")
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    return "-" * sign + _layout("".join(map(str, digits)), len(digits) + int(exponent))


def _layout(digits: str, point: int) -> str:
    """Place the decimal point after `point` of the digits, as ECMAScript writes it."""
    if len(digits) <= point <= _PLAIN_DIGITS:
        return digits.ljust(point, "0")
    if 0 < point <= _PLAIN_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if _MIN_EXPONENT < point <= 0:
        return "0." + "0" * -point + digits
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
