"""YAML that people, models and attackers write: plain values, each with its line, or a refusal.

Refused besides what is no YAML: a key that stands twice in one mapping (which of the two counts is nobody's guess),
an anchor that holds itself, and one that is used so often that the whole would be larger than any such file is.

Source: YAML 1.1 as PyYAML reads it; §3.2.1.3 on keys that are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from schemas.errors import InvalidDocument, Problem
from schemas.written import Path, Written

MAX_VALUES: Final = 50_000
"""Values of a file, what an alias stands for counted each time."""
MAX_DEPTH: Final = 64
_NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""PyYAML lets the errors of its converters through: of dates, of numbers, of tags that do not fit their value."""
_MERGE: Final = "tag:yaml.org,2002:merge"


def read_yaml(text: str | bytes, where: str) -> Written:
    """What `text` says; `where` (a file name) stands in every message.

    Raises:
        InvalidDocument: it is not YAML, holds a value that cannot be (a thirteenth month), or one of the above.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Written(None, where)
            lines = _Lines(loader, where).of(node)
            return Written(loader.construct_document(node), where, lines)
        finally:
            loader.dispose()
    except InvalidDocument:
        raise
    except _NOT_YAML as error:
        mark = getattr(error, "problem_mark", None)
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise refused(where, mark.line + 1 if mark else 0, f"not YAML: {said}") from None


def refused(where: str, line: int, message: str, key: str = "") -> InvalidDocument:
    """The refusal of a file for one reason."""
    return InvalidDocument.because([Problem(where, line, key, message)])


class _Lines:
    """One walk over the nodes of a file."""

    def __init__(self, loader: yaml.SafeLoader, where: str) -> None:
        self._loader = loader
        self._where = where
        self._found: dict[Path, int] = {}
        self._left = MAX_VALUES

    def of(self, node: yaml.Node) -> dict[Path, int]:
        """The line of each key and item, what it stands in by its own path."""
        self._found[()] = node.start_mark.line + 1
        self._walk(node, (), ())
        return self._found

    def _walk(self, node: yaml.Node, path: Path, around: tuple[int, ...]) -> None:
        self._left -= 1
        line = node.start_mark.line + 1
        if id(node) in around:
            raise refused(self._where, line, "not YAML: an anchor holds itself")
        if self._left < 0:
            raise refused(self._where, 0, f"holds more than {MAX_VALUES} values; aliases count each time")
        if len(around) > MAX_DEPTH:
            raise refused(self._where, line, f"not YAML: nested more than {MAX_DEPTH} deep")
        inside = (*around, id(node))
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._found.setdefault((*path, number), item.start_mark.line + 1)
                self._walk(item, (*path, number), inside)
        elif isinstance(node, yaml.MappingNode):
            self._mapping(node, path, inside)

    def _mapping(self, node: yaml.MappingNode, path: Path, inside: tuple[int, ...]) -> None:
        own: dict[Any, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value in node.value:
            if key_node.tag == _MERGE:
                merged.append(value)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._walk(key_node, path, inside)  # no document has such keys; a bomb may be in one all the same
                continue
            key = self._loader.construct_object(key_node)
            line = key_node.start_mark.line + 1
            if key in own:
                raise refused(self._where, line, f"this key stands in line {own[key]} already; keep one", str(key))
            own[key] = line
            self._found.setdefault((*path, key), line)
            self._walk(value, (*path, key), inside)
        for value in merged:  # what the mapping says itself came first and counts
            for each in _merged_mappings(value):
                self._walk(each, path, inside)


def _merged_mappings(value: yaml.Node) -> Iterator[yaml.Node]:
    return iter(value.value if isinstance(value, yaml.SequenceNode) else (value,))
