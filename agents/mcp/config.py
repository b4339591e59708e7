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
from typing import Final

from agents.llm import resolve
from schemas.agent.mcp import REFERENCE, VARIABLE, Mcp, McpServer, servers_of_file
from schemas.documents import parse_value
from schemas.errors import InvalidDocument
from schemas.masking import names_a_secret
from schemas.redaction import REGISTERED

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


def read_servers(section: Mcp, folder: Path) -> Mcp:
    """The section with the servers of its file in it, where it names one.

    Raises:
        InvalidDocument: the file cannot be read, or is not such a file; every problem is named at once.
    """
    if section.file is None:
        return section
    where = folder / section.file
    try:
        with where.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidDocument(f"mcp: cannot read {where}: {error.strerror}") from None
    if len(data) > _MAX_FILE_BYTES:
        raise InvalidDocument(f"mcp: {where} has more than {_MAX_FILE_BYTES} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(f"mcp: {where} is not JSON: {error}") from None
    return parse_value(servers_of_file(value), Mcp, str(where))


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
        headers = {key: values.secret(text, f"headers.{key}", key) for key, text in server.headers.items()}
        return Endpoint(server.url, headers)
    program = _program(values.text(server.command or "", "command"), folder, values)
    own = {key: values.secret(text, f"env.{key}", key) for key, text in server.env.items()}
    inherited = {key: values.environment[key] for key in INHERITED if key in values.environment}
    return Command((program, *(values.text(text, "args") for text in server.args)), folder, {**inherited, **own})


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
    """Puts variables and secrets into the texts of one server."""

    where: str
    environment: Mapping[str, str] = field(repr=False)

    def text(self, text: str, key: str) -> str:
        """`text` with the values of its variables."""
        for name, default in VARIABLE.findall(text):
            if name not in self.environment and f"${{{name}:-" not in text:
                raise McpUnusable(f"{self.where}.{key}: the environment variable {name} is not set")
            if names_a_secret(name):
                REGISTERED.add(self.environment.get(name, default))
        return VARIABLE.sub(lambda found: self.environment.get(found[1], found[2] or ""), text)

    def secret(self, text: str, key: str, name: str) -> str:
        """A value that may be a secret. From now on no log and no event shows one."""
        if REFERENCE.fullmatch(text):
            return resolve(text, self.environment).reveal()
        value = self.text(text, key)
        if names_a_secret(name) and value != text:
            REGISTERED.add(value)
        if "\n" in value or "\r" in value or "\0" in value:
            raise McpUnusable(f"{self.where}.{key}: the value has more than one line")
        return value
