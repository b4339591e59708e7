"""What an event's metadata may hold: a few kinds of value, each so bounded that no payload fits in.

A row of the catalogue (`schemas.audit`) names the keys that its events may carry, and the kind of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

WITHHELD: Final = "withheld"
"""In any event: how many of its metadata were not stored, because its row does not name them so."""
_EXACT: Final = 2**53
"""Whole numbers from here on are not read back by every reader as they were written."""


class Kind(NamedTuple):
    """What a value may be."""

    name: str
    meaning: str
    fits: Callable[[object], bool]


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _EXACT


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -_EXACT < value < _EXACT  # type: ignore[operator]  # of those it is one


def _texts(pattern: str) -> Callable[[object], bool]:
    known = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and known.fullmatch(value) is not None


COUNT: Final = Kind("count", "a whole number from 0 to 2^53 - 1", _is_count)
NUMBER: Final = Kind("number", "a number between -2^53 and 2^53", _is_number)
DIGEST: Final = Kind(
    "digest",
    "a SHA-256 or a git object id in hexadecimal; empty where there is none",
    _texts(r"|[0-9a-f]{40}|[0-9a-f]{64}"),
)
WORD: Final = Kind("word", "up to 64 of `a-z`, `0-9`, `_`, `-` and `.`", _texts(r"[a-z0-9][a-z0-9_.-]{0,63}"))
TIME: Final = Kind("time", "RFC 3339, UTC", _texts(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"))
FILE: Final = Kind(
    "file",
    "a name without a folder: up to 128 of letters, digits, `_`, `-` and `.`",
    _texts(r"[A-Za-z0-9_][\w.-]{0,127}"),
)
KINDS: Final = (COUNT, NUMBER, DIGEST, WORD, TIME, FILE)
Keys = Mapping[str, Kind]
NO_KEYS: Final[Keys] = MappingProxyType({})
EVERYWHERE: Final[Keys] = MappingProxyType({WITHHELD: COUNT})
"""What any event may have beside the keys of its row."""
