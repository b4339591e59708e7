"""An agent's file under examination: what it says, where, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agents.runtime.loading.load import Loaded
from agents.tools.others import origins_of
from schemas.agent.reading import Examined
from schemas.errors import Problem
from schemas.written import Path as Place
from schemas.written import dotted


@dataclass(slots=True)
class Draft:
    """An agent's file that may not be sound, with what the checks need."""

    path: Path
    folder: Path
    examined: Examined
    environment: Mapping[str, str]
    loaded: Loaded | None = field(default=None)
    """Set by the check of the handler, where the agent can be loaded."""

    @property
    def value(self) -> Any:
        """What the file says, its variables replaced."""
        return self.examined.expanded.written.value

    def at(self, *path: Any) -> Any:
        """The value at this place; None where there is none."""
        value = self.value
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def problem(self, path: Place, message: str, level: Literal["error", "warning"] = "error") -> Problem:
        """Something wrong at this place."""
        return Problem(str(self.path), self.examined.written.line_of(path), dotted(path), message, level)

    @property
    def told(self) -> str:
        """What the agent is, in a few words."""
        file = self.examined.file
        if file is None:
            return ""
        named = [skill.id for skill in self.loaded.skills] if self.loaded else []
        answers = f"answers with skills {', '.join(named)}" if named else "answers with a model"
        if file.routing is not None:
            answers = f"passes messages on ({file.routing.strategy})"
        others = origins_of(file.tools.named)
        tools = f", with {', '.join(others)}" if others else ""
        return f"agent {file.agent.id} {file.agent.version}, {answers}{tools}"


Check = Callable[[Draft], Iterator[Problem]]
"""Looks at one thing."""
