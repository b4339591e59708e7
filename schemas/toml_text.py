"""TOML that people write: plain values, and the lines of its tables and keys as far as they stand in lines of their own.

Source: TOML 1.0.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from schemas.errors import InvalidDocument, Problem
from schemas.written import Path, Written

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
_PLACE = re.compile(r"\(at (?:line (\d+), column \d+|end of document)\)")
_FENCES = re.compile(r'"""|\'\'\'')


def read_toml(text: str, where: str) -> Written:
    """What `text` says; `where` (a file name) stands in every message.

    Raises:
        InvalidDocument: it is not TOML.
    """
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        line = int(place[1] or len(text.splitlines())) if place else 0
        said = _PLACE.sub("", str(error)).strip()
        raise InvalidDocument.because([Problem(where, line, "", f"not TOML: {said}")]) from None
    return Written(value, where, dict(_lines(text)))


def _lines(text: str) -> Iterator[tuple[Path, int]]:
    """What begins in each line outside of texts of many lines."""
    yield (), 1
    table: Path = ()
    counts: dict[Path, int] = {}
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        was_open, fence = fence, _fence_after(line, fence)
        if was_open:
            continue
        if header := _TABLE.match(line):
            table = _table(_parts(header[2]), header[1] == "[[", counts)
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_parts(key[1])), number


def _table(named: Path, is_array: bool, counts: dict[Path, int]) -> Path:  # noqa: FBT001  which brackets stood there
    """The path of a header, with the position in each array of tables on its way."""
    path: Path = ()
    for depth, part in enumerate(named, 1):
        path = (*path, part)
        if depth == len(named) and is_array:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _parts(dotted_key: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted_key))


def _fence_after(line: str, fence: str) -> str:
    """The fence of the text of many lines that is open at the end of the line."""
    for found in _FENCES.findall(line):
        if not fence:
            fence = found
        elif found == fence:
            fence = ""
    return fence
