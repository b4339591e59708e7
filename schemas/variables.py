"""`${NAME}` and `${NAME:-default}` in the texts of a file, from the environment of the process that reads it.

What people review is the file's text: a value from the environment is one that no reviewer saw. So what decides who an
agent is and what it may do is written out, secrets are referred to (`env:NAME`) and never copied into a file's values,
and where nobody's environment is known (a review, a trial) only the default counts.

`$${` stands for `${` itself. Keys are never looked at, nor are other files (a prompt's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from schemas.errors import Problem
from schemas.masking import names_a_secret
from schemas.secret_forms import FORMS
from schemas.written import Path, Written, dotted

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{")
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(_?\d+)?\Z", re.IGNORECASE)
_UNSET = "is not set; set it, or write"
_NO_DEFAULT = "has no default, which a fleet needs, since reviewers and trials see no environment; write"
_FORM = "write ${NAME} or ${NAME:-default}, and $${ for the characters themselves"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a part of a value came from: the variable, or its default."""

    name: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class Expanded:
    """A file with its variables replaced. `sources` names the variables of each value that had some."""

    written: Written
    sources: Mapping[Path, tuple[Source, ...]]
    problems: tuple[Problem, ...]


def expanded(written: Written, environment: Mapping[str, str], fixed: Sequence[str]) -> Expanded:
    """`written` with the variables of `environment`.

    `fixed` are keys, as people write them (`agent.id`, `llm.pool.*.api_key`), that hold no variables, nor does what
    is in them. A value that cannot be replaced stays as it is, with a problem.
    """
    walk = _Walk(written, environment, [tuple(key.split(".")) for key in fixed])
    value = walk.replaced(written.value, ())
    return Expanded(replace(written, value=value), walk.sources, tuple(walk.problems))


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret, as far as one can tell."""
    return names_a_secret(name) or _SECRET_NAME.search(name) is not None


class _Walk:
    def __init__(self, written: Written, environment: Mapping[str, str], fixed: list[tuple[str, ...]]) -> None:
        self._written = written
        self._environment = environment
        self._fixed = fixed
        self.sources: dict[Path, tuple[Source, ...]] = {}
        self.problems: list[Problem] = []

    def replaced(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: self.replaced(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.replaced(inner, (*path, number)) for number, inner in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) and "${" in value else value

    def _text(self, text: str, path: Path) -> str:
        sources: list[Source] = []
        wrong: list[str] = []

        def value_of(reference: re.Match[str]) -> str:
            if reference[0] == "$${":
                return "${"
            found, source, problem = self._value(reference, path)
            sources.extend([source] if source else [])
            wrong.extend([problem] if problem else [])
            return found

        result = _REFERENCE.sub(value_of, text)
        self.sources |= {path: tuple(sources)} if sources else {}
        line = self._written.line_of(path)
        self.problems += [Problem(self._written.where, line, dotted(path), problem) for problem in wrong]
        return text if wrong else result

    def _value(self, reference: re.Match[str], path: Path) -> tuple[str, Source | None, str]:
        """What stands there instead, where it came from, and what is wrong with that."""
        name: str | None = reference["name"]
        default: str | None = reference["default"]
        if name is None:
            return "", None, f"'${{' begins a variable; {_FORM}"
        if key := self._fixed_key(path):
            return "", None, f"takes no variable: {key} is what reviewers decide on; write the value out"
        if is_secret_name(name):
            return "", None, f"${{{name}}} looks like a secret; write env:{name} at a key that takes a reference"
        found = self._environment.get(name, default)
        if found is None:
            return "", None, f"{name} {_UNSET if self._environment else _NO_DEFAULT} ${{{name}:-default}}"
        kind = next((kind for kind, form in FORMS if form.search(found)), "")
        if kind:
            return "", None, f"{name} holds {kind}; write env:{name} at a key that takes a reference"
        return found, Source(name, name not in self._environment), ""

    def _fixed_key(self, path: Path) -> str:
        """The key of `fixed` that `path` is, or is in."""
        for key in self._fixed:
            if len(path) >= len(key) and all(part in ("*", step) for part, step in zip(key, path, strict=False)):
                return ".".join(key)
        return ""
