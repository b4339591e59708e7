"""What holds in the end for an agent: every value with where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from agents.runtime.loading.agent_folder import AgentFolder
from schemas.agent import AgentFile
from schemas.masking import masked
from schemas.variables import Source
from schemas.written import Path, Written, dotted

Origin = Literal["file", "default", "environment", "default of a variable", "prompt file", "mcp file"]


class Value(msgspec.Struct, frozen=True):
    """One value. `line` is that of the agent's file, 0 where it does not stand there; `source` names file or variable."""

    key: str
    value: Any
    origin: Origin
    source: str = ""
    line: int = 0


def values_of(read: AgentFolder, file: AgentFile) -> tuple[Value, ...]:
    """Every value of `file`, which is what was `read` with what lies in other files. Secrets are references."""
    shown = masked_but_references(file.model_dump(mode="json"))
    return tuple(_value(path, value, read) for path, value in _leaves(shown, ()))


def masked_but_references(document: dict[str, Any]) -> dict[str, Any]:
    """The document without anything that may be a secret; references say where one is, and stay."""
    return {key: _masked(value) for key, value in document.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return masked(value)


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, value


def _value(path: Path, value: Any, read: AgentFolder) -> Value:
    origin, source, line = _origin(path, read)
    return Value(dotted(path), value, origin, source, line)


def _origin(path: Path, read: AgentFolder) -> tuple[Origin, str, int]:
    written, sources = read.read.written, read.read.sources
    if path == ("llm", "system_prompt") and read.read.file.llm and read.read.file.llm.prompt_file:
        return "prompt file", read.read.file.llm.prompt_file, 0
    if path[0] == "mcp" and read.read.file.mcp.file is not None:
        return "mcp file", read.read.file.mcp.file, 0
    if path in sources:
        return _of_variables(sources, path, written)
    if is_written(written.value, path):
        return "file", read.path.name, written.line_of(path)
    return "default", "", 0


def _of_variables(sources: Mapping[Path, tuple[Source, ...]], path: Path, written: Written) -> tuple[Origin, str, int]:
    names = ", ".join(dict.fromkeys(source.name for source in sources[path]))
    is_default = all(source.is_default for source in sources[path])
    return "default of a variable" if is_default else "environment", names, written.line_of(path)


def is_written(value: Any, path: Path) -> bool:
    """Whether the author wrote something at this place; a list of names says of each that it is there."""
    for step in path:
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        ):
            value = value[step]
        else:
            return False
    return True
