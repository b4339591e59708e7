"""Everything that is wrong with an agent's file and what it refers to, found at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agents.cli.agent.checks import CHECKS
from agents.cli.agent.draft import Draft
from agents.cli.agent.mcp_checks import MCP_CHECKS
from agents.cli.agent.model_checks import MODEL_CHECKS
from agents.ports import problems_of
from agents.runtime.loading.agent_folder import AgentFolder, file_in, read_folder, text_of
from schemas.agent.reading import NOWHERE, examine_agent
from schemas.documents import Document, parse_yaml
from schemas.errors import InvalidDocument, Problem
from schemas.fleet import Fleet
from schemas.policy import Policy

_OTHER_FILES: Mapping[str, type[Document]] = {"fleet.yaml": Fleet, "policy.yaml": Policy}


@dataclass(frozen=True, slots=True)
class Findings:
    """Of one file. `told` says in a few words what it is, where nothing is wrong."""

    file: str
    problems: tuple[Problem, ...] = ()
    told: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether it can be used: warnings do not count."""
        return all(problem.level == "warning" for problem in self.problems)

    def strictly(self) -> Findings:
        """The same, with warnings as errors."""
        return replace(self, problems=tuple(Problem(p.file, p.line, p.key, p.message) for p in self.problems))


def files_of(path: Path) -> Iterator[Path]:
    """The files that `path` names: itself, the agent's in it, or all of a fleet's folder."""
    agents = path / "agents"
    if not agents.is_dir() or not (path / "fleet.yaml").is_file():
        yield path
        return
    yield from (path / name for name in _OTHER_FILES if (path / name).is_file())
    yield from sorted(folder for folder in agents.iterdir() if folder.is_dir())


def findings(path: Path, environment: Mapping[str, str]) -> Findings:
    """What is to be said of one file or one agent's folder.

    Raises:
        InvalidDocument: it cannot be read, so nothing can be said.
    """
    try:
        kind = _OTHER_FILES.get(path.name)
        return _of_other(path, kind) if kind else _of_agent(file_in(path), environment)
    except InvalidDocument as error:
        if not error.problems:
            raise
        return Findings(str(path), error.problems)


def _of_other(path: Path, kind: type[Document]) -> Findings:
    _, text = text_of(path)
    read = parse_yaml(text, kind, str(path))
    problems = tuple(_of_ports(read, path.parent / "agents")) if isinstance(read, Fleet) else ()
    return Findings(str(path), problems, f"{kind.__name__.lower()} file")


def _of_ports(fleet: Fleet, agents: Path) -> Iterator[Problem]:
    """Ports that two agents beside the fleet file want; files that cannot be read are said by themselves."""
    found: dict[str, AgentFolder] = {}
    for agent in fleet.agents:
        with contextlib.suppress(InvalidDocument):
            found[agent] = read_folder(agents / agent, NOWHERE)
    yield from problems_of(fleet, found)


def _of_agent(path: Path, environment: Mapping[str, str]) -> Findings:
    folder, text = text_of(path)
    found = examine_agent(text, str(path), environment)
    draft = Draft(path, folder, found, environment)
    said = list(found.problems)
    for check in (*CHECKS, *MODEL_CHECKS, *MCP_CHECKS):
        said += check(draft)
    problems = tuple(sorted(dict.fromkeys(said), key=lambda problem: (problem.file != str(path), problem.line)))
    return Findings(str(path), problems, draft.told)
