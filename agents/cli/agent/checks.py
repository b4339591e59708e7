"""What a schema cannot know of an agent's file: whether what it refers to is there, and fits.

A check looks at the values as they are written, so that it also has its say where something else is wrong.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from agents.cli.agent.draft import Check, Draft
from agents.llm import KeyMissing, KeyUnsafe, resolve
from agents.runtime.loading.agent_folder import AgentFolder, prompt_of
from agents.runtime.loading.load import load_folder
from schemas.agent.reading import ReadFile
from schemas.errors import InvalidDocument, Problem
from schemas.masking import names_a_secret
from schemas.written import Path as Place

_ENV_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"(env|file|credential):.+")


def _handler(draft: Draft) -> Iterator[Problem]:
    """The handler can be imported and is what the file says. It is imported: its lines run."""
    file = draft.examined.file
    if file is None:
        name = str(draft.at("handler") or "").partition(":")[0]
        if name.endswith(".py") and not (draft.folder / name).is_file():
            yield draft.problem(("handler",), f"there is no {name} beside {draft.path.name}")
        return
    read = ReadFile(file, draft.examined.written, draft.examined.expanded.sources)
    try:
        draft.loaded = load_folder(AgentFolder(draft.path, draft.folder, file, read))
    except InvalidDocument as error:
        if not error.problems:
            yield draft.problem(("handler",), _shorter(str(error), draft))
        for problem in error.problems:
            yield Problem(_shorter(problem.file, draft), problem.line, problem.key, problem.message, problem.level)


def _skills(draft: Draft) -> Iterator[Problem]:
    """Skills that the file speaks of are there."""
    if draft.loaded is None:
        return
    described = [skill.id for skill in draft.loaded.file.agent.skills]
    of_handler = [skill.id for skill in draft.loaded.skills]
    if of_handler:
        for number, name in enumerate(described):
            if name not in of_handler:
                yield draft.problem(("agent", "skills", number, "id"), _no_skill(name, of_handler, "the handler"))
    canary = draft.loaded.file.canary
    known = of_handler or described
    if canary and canary.skill and canary.skill not in known:
        yield draft.problem(("canary", "skill"), _no_skill(canary.skill, known, "the agent"))


def _no_skill(name: str, known: list[str], whose: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
    return f"{whose} has no skill {name!r}; {hint}"


def _prompt(draft: Draft) -> Iterator[Problem]:
    """The prompt's file is there."""
    name = draft.at("llm", "prompt_file")
    if isinstance(name, str) and name and ".." not in name and not name.startswith("/"):
        _, problem = prompt_of(draft.folder, name)
        if problem:
            yield draft.problem(("llm", "prompt_file"), problem)


def _references(draft: Draft) -> Iterator[Problem]:
    """Secrets that are referred to are there and may be used."""
    for path, reference in _texts(draft.value, ()):
        if path[:1] == ("mcp",):  # its own check knows what becomes of a server without
            continue
        if not (_ENV_REFERENCE.fullmatch(reference) or (_REFERENCE.fullmatch(reference) and _is_for_a_secret(path))):
            continue
        try:
            resolve(reference, draft.environment)
        except KeyMissing as error:
            yield draft.problem(path, f"{error}{_when_skipped(draft, path)}", "warning")
        except KeyUnsafe as error:
            yield draft.problem(path, str(error))


def _is_for_a_secret(path: Place) -> bool:
    return any(isinstance(step, str) and names_a_secret(step) for step in path)


def _when_skipped(draft: Draft, path: Place) -> str:
    where = path[:-1]
    value: Any = draft.value
    for step in where:
        value = value[step]
    is_skipped = isinstance(value, dict) and value.get("when_key_is_missing") == "skip"
    return "; this model is skipped" if is_skipped else "; the agent does not start without it"


def _variables(draft: Draft) -> Iterator[Problem]:
    """Changes are reviewed and tried where no variable is set."""
    for path, sources in draft.examined.expanded.sources.items():
        text = _written_at(draft.examined.written.value, path)
        for name in dict.fromkeys(source.name for source in sources):
            if f"${{{name}}}" in text:
                said = f"{name} has no default; a fleet needs one, since reviewers see no environment: ${{{name}:-…}}"
                yield draft.problem(path, said, "warning")


def _name(draft: Draft) -> Iterator[Problem]:
    """In a fleet the folder is called as the agent is."""
    folder = draft.path.parent
    identity = draft.at("agent", "id")
    if folder.parent.name == "agents" and isinstance(identity, str) and folder.name not in (identity, ""):
        yield draft.problem(("agent", "id"), f"the folder is called {folder.name}; a fleet looks for {identity} there")


CHECKS: tuple[Check, ...] = (_handler, _skills, _prompt, _references, _variables, _name)


def _texts(value: Any, path: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, number))
    elif isinstance(value, str):
        yield path, value


def _written_at(value: Any, path: Place) -> str:
    for step in path:
        value = value[step]
    return str(value)


def _shorter(text: str, draft: Draft) -> str:
    """As its author named the folder, not as the file system does."""
    return text.replace(str(draft.folder), str(draft.path.parent))
