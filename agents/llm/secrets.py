"""Keys: configuration holds a reference, this module finds the value, `Secret` keeps it out of sight.

| reference | where the value is |
|---|---|
| `env:NAME` | an environment variable |
| `file:PATH` | an absolute path, or one from `~`; a file that group or others can read is refused |
| `credential:NAME` | `NAME` or `<unit>_NAME` in `$AGENTBUS_CREDENTIALS`, then in `$CREDENTIALS_DIRECTORY` |

Source: systemd.exec(5) LoadCredential=.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn, final

from bus.surroundings import CREDENTIALS
from schemas.redaction import REGISTERED

from .errors import KeyMissing, KeyUnsafe

_SYSTEMD: Final = "CREDENTIALS_DIRECTORY"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(_[A-Za-z0-9.-]+)*")
_VALUE = re.compile(r"[\x21-\x7e]+")
_MAX_BYTES = 16 * 1024


@final
class Secret:
    """A value that `repr`, `str`, `format` and pickling do not show; `reveal` is the only way to it."""

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: str) -> None:
        self._value = value
        self.reference = reference

    def reveal(self) -> str:
        """The value, for the client that sends it and nobody else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.reference})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere; keep its reference instead")


def resolve(reference: str, environment: Mapping[str, str] | None = None) -> Secret:
    """The secret that `reference` names. No message ever holds a value, and from now on no log and no event does.

    Raises:
        KeyMissing: there is nothing, or it is empty.
        KeyUnsafe: others can read the file, or the value is not one line of printable characters.
    """
    env = os.environ if environment is None else environment
    kind, _, name = reference.partition(":")
    source = _SOURCES.get(kind)
    if source is None or not name:
        raise KeyMissing(f"{_shown(reference)} is no reference; write env:NAME, file:PATH or credential:NAME")
    value = source(name, env).strip()
    if not value:
        raise KeyMissing(f"{reference} is empty")
    if not _VALUE.fullmatch(value):
        raise KeyUnsafe(f"{reference} is not one line of printable characters without spaces")
    REGISTERED.add(value)
    return Secret(value, reference)


def _shown(reference: str) -> str:
    # somebody may have put the key itself here: only the part before the colon is repeated
    kind, colon, _ = reference.partition(":")
    return f"'{kind}:…'" if colon and len(kind) <= len("credential") else "what stands in api_key"


def _from_env(name: str, env: Mapping[str, str]) -> str:
    if name not in env:
        raise KeyMissing(f"env:{name} is not set in the environment of this process")
    return env[name]


def _from_file(name: str, _env: Mapping[str, str]) -> str:
    path = Path(name).expanduser()
    if not path.is_absolute():
        raise KeyMissing(f"file:{name}: write an absolute path; which folder a service runs in is not certain")
    return _read(path, f"file:{name}", is_systemd=False)


def _from_credential(name: str, env: Mapping[str, str]) -> str:
    reference = f"credential:{name}"
    if not _NAME.fullmatch(name):
        raise KeyMissing(f"{reference}: a credential has a plain name of letters, digits, '.', '-' and '_'")
    for variable in (CREDENTIALS, _SYSTEMD):
        directory = _directory(env, variable)
        path = _find(Path(directory), name) if directory else None
        if path:
            return _read(path, reference, is_systemd=directory == _directory(env, _SYSTEMD))
    raise KeyMissing(f"{reference}: no such file in ${CREDENTIALS} or ${_SYSTEMD}")


def _directory(env: Mapping[str, str], variable: str) -> str:
    return env.get(variable, "").split(":")[0]


def _find(directory: Path, name: str) -> Path | None:
    """`name` itself, else `<unit>_<name>`; unit names have no underscore."""
    plain_path = directory / name
    if plain_path.is_file():
        return plain_path
    prefixed = re.compile(rf"[A-Za-z0-9.@-]+_{re.escape(name)}")
    found = sorted(path for path in directory.glob(f"*_{name}") if prefixed.fullmatch(path.name) and path.is_file())
    return found[0] if found else None


def _read(path: Path, reference: str, *, is_systemd: bool) -> str:
    try:
        if not path.is_file():
            raise KeyMissing(f"{reference}: there is no such file")
        # the mode is that of the file that is read, not of one that stood there a moment ago
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise KeyMissing(f"{reference} cannot be read: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077 and not is_systemd:
        # systemd's credentials are 0440 for the unit's user, in a directory that only that user can enter
        raise KeyUnsafe(f"{reference} can be read by others (mode {stat.S_IMODE(mode):o}); run: chmod 600 {path}")
    if len(data) > _MAX_BYTES:
        raise KeyUnsafe(f"{reference} is over {_MAX_BYTES} bytes; that is no key")
    return data.decode("utf-8", "replace")


_SOURCES: Final[dict[str, Callable[[str, Mapping[str, str]], str]]] = {
    "env": _from_env,
    "file": _from_file,
    "credential": _from_credential,
}
