"""From what the agent's file says of a server to what is started or called: variables and secrets put in.

The environment of a child is made here and from nothing else: what `INHERITED` names, and the server's own `env`. No
key of the agent, no address of the bus and no notification socket is among it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agents.llm import resolve
from schemas.agent import AgentFile
from schemas.agent.mcp import REFERENCE, VARIABLE, Mcp, McpServer, servers_of_file
from schemas.documents import parse_value
from schemas.errors import InvalidDocument, Problem
from schemas.redaction import REGISTERED
from schemas.variables import is_secret_name

from .errors import McpUnusable

INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""What a child gets of the agent's own environment."""
_MAX_FILE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """A child to start. Its environment may hold secrets and is never shown."""

    argv: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server to call. Its headers may hold secrets and are never shown."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


def with_servers(file: AgentFile, folder: Path) -> AgentFile:
    """The agent's file with the servers of its `mcp.json` in it, where it names one.

    Raises:
        InvalidDocument: that file cannot be read, or is not such a file; every problem is named at once.
    """
    if file.mcp.file is None:
        return file
    return file.model_copy(update={"mcp": _read(folder / file.mcp.file, folder)})


def _read(path: Path, folder: Path) -> Mcp:
    try:
        value = json.loads(_content(path, folder), object_pairs_hook=_once)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _refused(path, str(error)) from None
    return parse_value(servers_of_file(value), Mcp, str(path))


def _content(path: Path, folder: Path) -> bytes:
    if not path.resolve(strict=True).is_relative_to(folder):
        raise ValueError("lies outside of the agent's folder")
    with path.open("rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError(f"is over {_MAX_FILE_BYTES >> 10} KiB")
    return data


def _refused(path: Path, said: str) -> InvalidDocument:
    return InvalidDocument.because([Problem(str(path), 0, "", said)])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that stands twice would let a reader see another value than the one in force."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def reached_by(
    name: str, server: McpServer, folder: Path, environment: Mapping[str, str] | None = None
) -> Command | Endpoint:
    """How `server` is reached, secrets and all; `folder` is the agent's.

    Raises:
        McpUnusable: a variable is not set, or the program is not there.
        PoolUnusable: a reference to a secret leads nowhere, or to what others can read.
    """
    values = _Values(f"mcp.{name}", os.environ if environment is None else environment)
    if server.url is not None:
        headers = {key: values.of(text, f"headers.{key}") for key, text in server.headers.items()}
        return Endpoint(server.url, headers)
    program = _program(server.command or "", folder, values)
    own = {key: values.of(text, f"env.{key}") for key, text in server.env.items()}
    inherited = {key: values.environment[key] for key in INHERITED if key in values.environment}
    return Command((program, *server.args), folder, {**inherited, **own})


def _program(command: str, folder: Path, values: _Values) -> str:
    """A path is one from the agent's folder; a name is looked for in PATH. Never in the folder by its name alone."""
    if "/" in command:
        path = folder / command
        found = str(path) if os.access(path, os.X_OK) and path.is_file() else None
    else:
        found = shutil.which(command, path=values.environment.get("PATH", os.defpath))
    if found is None:
        raise McpUnusable(f"{values.where}.command: there is no program {command!r}; install it, or write its path")
    return found


@dataclass(frozen=True, slots=True)
class _Values:
    """Puts secrets and variables into the texts of one server. From then on no log and no event shows the secrets."""

    where: str
    environment: Mapping[str, str] = field(repr=False)

    def of(self, text: str, key: str) -> str:
        """What stands at `key`."""
        found = REFERENCE.fullmatch(text)
        if found:
            return (found["scheme"] or "") + resolve(found["reference"], self.environment).reveal()
        value = VARIABLE.sub(lambda variable: self._variable(variable[1], variable[2], key), text)
        if "\n" in value or "\r" in value or "\0" in value:
            raise McpUnusable(f"{self.where}.{key}: the value has more than one line")
        if value != text and is_secret_name(key):
            REGISTERED.add(value)
        return value

    def _variable(self, name: str, default: str | None, key: str) -> str:
        value = self.environment.get(name, default)
        if value is None:
            raise McpUnusable(f"{self.where}.{key}: the environment variable {name} is not set")
        if is_secret_name(name):
            REGISTERED.add(value)
        return value
