"""The keys file: which key each agent of the fleet has on the bus, for whoever verifies what an agent signed.

    {"agents": {"greeter": "UABC…", "textstats": "UDEF…"}}

Provisioning writes it, with the keys that the server's configuration names; every process of the fleet may
read it, and none may write it. One key per agent: with another one it is not let in by the server either.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bus.credentials import is_public_key
from bus.discovery.cards import CardNotTrusted
from schemas.errors import InvalidDocument
from schemas.text import harmless

_Version = tuple[int, int, int]


class _KeysFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agents: dict[str, str]


class AgentKeys:
    """The keys as the file has them now: it is read again whenever it is another one, so agents may be added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: _Version | None = None
        self._keys: Mapping[str, str] = {}

    def of(self, agent: str) -> str:
        """The agent's public nkey.

        Raises:
            CardNotTrusted: the file, or the agent in it, is missing, or it is not such a file; nothing is believed then.
        """
        try:
            version = _version(self._path)
            if version != self._version:
                self._keys, self._version = load_agent_keys(self._path), version
        except (OSError, InvalidDocument) as error:
            self._keys, self._version = {}, None
            raise CardNotTrusted(f"the keys of the fleet's agents are not known: {error}") from None
        key = self._keys.get(agent)
        if key is None:
            raise CardNotTrusted(f"{self._path} has no key of {harmless(agent)}; run: agentbus provision")
        return key


def load_agent_keys(path: Path) -> dict[str, str]:
    """Read a keys file.

    Raises:
        InvalidDocument: it is missing, or not one.
    """
    try:
        agents = msgspec.json.decode(path.read_bytes(), type=_KeysFile).agents
    except FileNotFoundError:
        raise InvalidDocument(f"no keys file {path}; run: agentbus provision") from None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument(f"{path}: not a keys file ({error}); run: agentbus provision") from None
    for agent, key in agents.items():
        if not is_public_key(key):
            raise InvalidDocument(f"{path}: {agent}: {key!r} is not a public user nkey; run: agentbus provision")
    return agents


def dump_agent_keys(keys: Mapping[str, str]) -> bytes:
    """The bytes of the file."""
    return msgspec.json.format(msgspec.json.encode(_KeysFile(dict(keys)), order="sorted"), indent=2) + b"\n"


def write_agent_keys(path: Path, keys: Mapping[str, str]) -> None:
    """Put the file in its place, whole or not at all: whoever reads it meanwhile has the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(dump_agent_keys(keys))
    new.chmod(0o644)
    new.replace(path)


def _version(path: Path) -> _Version | None:
    """What is another one after the file was replaced or changed; None when there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
