"""The smallest change of a YAML text that adds or removes one entry: comments, order and style of the rest stay. Pure.

Where an entry goes is seen from the marks that PyYAML's nodes carry. What comes out is not believed: whoever calls
this reads it again and compares it with what it wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from schemas.errors import InvalidDocument

Entry = tuple[yaml.Node, yaml.Node]
"""Where an entry of a collection begins and ends: key and value of a mapping, twice the item of a list."""


def added(text: str, path: Sequence[str], name: str, value: str = "") -> str:
    """`text` with an entry in the collection at `path`: `name`, or `name: value` where it is a mapping.

    Raises:
        InvalidDocument: there is no collection at `path`.
    """
    node = _at(text, path)
    entry = f"{name}: {value}" if isinstance(node, yaml.MappingNode) else name
    entries = _entries(node)
    if node.flow_style:
        end = entries[-1][1].end_mark.index if entries else node.start_mark.index + 1
        return text[:end] + (f", {entry}" if entries else entry) + text[end:]
    place = _line_end(text, _last(entries[-1][1]).end_mark.index)
    dash = "" if isinstance(node, yaml.MappingNode) else "- "
    gap = "" if text[:place].endswith("\n") else "\n"
    return f"{text[:place]}{gap}{' ' * node.start_mark.column}{dash}{entry}\n{text[place:]}"


def removed(text: str, path: Sequence[str], name: str) -> str:
    """`text` without the entry `name` of the collection at `path`.

    Raises:
        InvalidDocument: there is no such entry.
    """
    node = _at(text, path)
    entries = _entries(node)
    place = next((n for n, (begin, _) in enumerate(entries) if _said(begin) == name), -1)
    if place < 0:
        raise InvalidDocument(f"there is no {name} in {'.'.join(path)}")
    if node.flow_style:
        return _out_of_flow(text, entries, place)
    begin, end = entries[place]
    rest = text[: _line_begin(text, begin.start_mark.index)] + text[_line_end(text, _last(end).end_mark.index) :]
    if len(entries) > 1:
        return rest
    colon = text.rindex(":", 0, node.start_mark.index) + 1
    return f"{rest[:colon]} {'{}' if isinstance(node, yaml.MappingNode) else '[]'}{rest[colon:]}"


def _out_of_flow(text: str, entries: Sequence[Entry], place: int) -> str:
    begin, end = entries[place][0].start_mark.index, entries[place][1].end_mark.index
    if place:
        begin = entries[place - 1][1].end_mark.index
    elif len(entries) > 1:
        end = entries[1][0].start_mark.index
    return text[:begin] + text[end:]


def _at(text: str, path: Sequence[str]) -> yaml.CollectionNode:
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in path:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((value for name, value in pairs if _said(name) == key), None)
    if not isinstance(node, yaml.CollectionNode):
        raise InvalidDocument(f"there is no {'.'.join(path)} in the file")
    return node


def _entries(node: yaml.CollectionNode) -> list[Entry]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else [(item, item) for item in node.value]


def _said(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _last(node: yaml.Node) -> yaml.Node:
    """What a block ends with: its own mark is where the next begins, behind comments that are not its own."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        return _last(_entries(node)[-1][1])
    return node


def _line_begin(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    return text.find("\n", index) + 1 or len(text)
