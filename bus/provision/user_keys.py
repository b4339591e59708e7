"""The public keys of the server's users, in a file: whoever has it can write the server's configuration, and has no secret.

{"users": {"greeter/bus.nk": "UABC…", "reviewer/own.nk": "UDEF…"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bus.credentials import is_public_key
from bus.errors import NotProvisioned
from bus.files import replace_durably
from bus.provision.permissions import users_of
from schemas.errors import UNREADABLE
from schemas.fleet import Fleet


class _UsersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    users: dict[str, str]


def dump_user_keys(keys: Mapping[tuple[str, str], str]) -> bytes:
    """The bytes of the file."""
    users = {f"{principal}/{credential}": key for (principal, credential), key in sorted(keys.items())}
    return msgspec.json.format(msgspec.json.encode(_UsersFile(users))) + b"\n"


def write_user_keys(path: Path, keys: Mapping[tuple[str, str], str]) -> None:
    """Write the file; one that says the same is left alone."""
    text = dump_user_keys(keys)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists() or path.read_bytes() != text:
        replace_durably(path, text, keeps_owner=True)


def load_user_keys(path: Path, fleet: Fleet) -> dict[tuple[str, str], str]:
    """The keys of this fleet's users.

    Raises:
        NotProvisioned: the file cannot be read, or somebody of the fleet has no key yet.
    """
    try:
        users = msgspec.json.decode(path.read_bytes(), type=_UsersFile).users
    except (OSError, *UNREADABLE) as error:
        raise NotProvisioned(f"the public keys in {path} cannot be read ({error}); run: agentbus provision") from None
    wanted = {(user.principal, user.credential) for user in users_of(fleet)}
    keys = {key: users.get("/".join(key), "") for key in sorted(wanted)}
    without = [principal for (principal, _), key in keys.items() if not is_public_key(key)]
    if without:
        raise NotProvisioned(f"{without[0]} has no key yet; put the fleet file in force by hand: agentbus provision")
    return keys
