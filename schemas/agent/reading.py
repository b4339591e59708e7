"""From the text of agent.yaml or agent.toml to the agent's file, in one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.documents import parse_written, read_text
from schemas.errors import InvalidDocument, Problem
from schemas.variables import Expanded, Source, expanded
from schemas.written import Path, Written

from .file import AgentFile

NO_VARIABLES: Final = (
    "agent.id", "handler", "tools", "mcp", "approvals", "safety", "llm.prompt_file", "llm.pool.*.provider",
    "llm.pool.*.api_key",
)  # fmt: skip
"""Keys that decide who an agent is, what it may do and which secrets it reads: what was approved is what holds."""
NOWHERE: Final[Mapping[str, str]] = {}
"""The environment of a review and of a trial: every variable has its default."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """An agent's file, with what its author wrote and where the rest came from."""

    file: AgentFile
    written: Written
    """As it stands in the file, before variables are replaced."""
    sources: Mapping[Path, tuple[Source, ...]]

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables that the file uses."""
        return frozenset(source.name for sources in self.sources.values() for source in sources)


@dataclass(frozen=True, slots=True)
class Examined:
    """What can be said of a file whether it is sound or not. `file` is there when nothing is wrong with it."""

    written: Written
    expanded: Expanded
    file: AgentFile | None
    problems: tuple[Problem, ...]


def examine_agent(text: str, where: str, environment: Mapping[str, str]) -> Examined:
    """Read the text of an agent's file, TOML where `where` (a file name, for messages) ends so.

    Raises:
        InvalidDocument: it is neither YAML nor TOML; everything else that may be wrong is in the answer.
    """
    written = read_text(text, where)
    found = expanded(written, environment, NO_VARIABLES)
    try:
        file = parse_written(found.written, AgentFile)
    except InvalidDocument as error:
        wrong = {problem.key for problem in found.problems}
        others = [problem for problem in error.problems if problem.key not in wrong]
        return Examined(written, found, None, tuple(sorted((*found.problems, *others), key=lambda each: each.line)))
    return Examined(written, found, None if found.problems else file, found.problems)


def read_agent(text: str, where: str, environment: Mapping[str, str]) -> ReadFile:
    """Read the text of an agent's file.

    Raises:
        InvalidDocument: every problem of the file, each with its line.
    """
    found = examine_agent(text, where, environment)
    if found.file is None:
        raise InvalidDocument.because(found.problems)
    return ReadFile(found.file, found.written, found.expanded.sources)


def parse_agent(text: str, where: str, environment: Mapping[str, str] = NOWHERE) -> AgentFile:
    """The agent's file alone. Raises as `read_agent`."""
    return read_agent(text, where, environment).file
