"""What a file says, with the line of each value, so that whoever refuses one can say where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[Any, ...]
"""The keys and positions that lead to a value: `("llm", "pool", 0, "model")`."""


@dataclass(frozen=True, slots=True)
class Written:
    """The plain values of a file. `lines` counts from 1, and knows only what the reader could tell."""

    value: Any
    where: str
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """The line of what stands at `path`, or of the nearest thing around it; 0 when nothing is known."""
        for length in range(len(path), -1, -1):
            if line := self.lines.get(path[:length]):
                return line
        return 0


def dotted(path: Path) -> str:
    """A path as people write it."""
    return ".".join(str(step) for step in path)
