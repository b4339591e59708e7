"""What a platform is given: files to write, and what a person does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

HEADER = "# Rendered by `agentbus deploy`; render again instead of editing.\n"
"""The first line of each rendered file: only a file that has it is ever overwritten."""


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """One file: its path below the folder that is written to, and its text."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """The files, and the commands that put them to work, in order. Nothing here holds a secret."""

    files: tuple[RenderedFile, ...]
    steps: tuple[str, ...]


def as_yaml(*documents: Mapping[str, Any]) -> str:
    """Documents in one YAML file, keys in the order in which they were written."""
    return HEADER + "---\n".join(_dumped(document) for document in documents)


def as_toml(tables: Mapping[str, Any]) -> str:
    """A TOML file of plain values, tables, and arrays of tables; one level of each."""
    plain = [f"{key} = {_toml(value)}" for key, value in tables.items() if not _is_table(value)]
    parts = ["\n".join(plain)]
    for name, value in tables.items():
        if _is_table(value):
            heads = [(f"[[{name}]]", row) for row in value] if isinstance(value, list) else [(f"[{name}]", value)]
            parts += [
                f"{head}\n" + "\n".join(f"{key} = {_toml(each)}" for key, each in row.items()) for head, row in heads
            ]
    return HEADER + "\n\n".join(parts) + "\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stay readable; nothing is written as a reference to something above it."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _dumped(document: Mapping[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return '"' + "".join(_ESCAPED.get(char, char) for char in str(value)) + '"'


_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
