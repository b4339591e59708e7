"""Key files: there, whole, and nobody's but their owner's."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agents.doctor.finding import Finding, fine, one_line, wrong
from agents.installation import Place
from bus.credentials import Credential
from bus.errors import CredentialMissing
from bus.provision.permissions import users_of
from bus.provision.user_keys import load_user_keys
from schemas.names import NATS_SERVER

_KEYS = "credentials"


async def keys(place: Place) -> Sequence[Finding]:
    """Each member's key is there, and is the one that the server knows."""
    known = load_user_keys(place.home.user_keys, place.fleet)
    members = [(user.principal, user.credential) for user in users_of(place.fleet)]
    amiss = [problem for member in members for problem in await asyncio.to_thread(_key, place, member, known[member])]
    return amiss or [fine(f"{len(members)} keys, each as the server knows it")]


def _key(place: Place, member: tuple[str, str], known: str) -> list[Finding]:
    path = place.home.credentials(member[0]) / member[1]
    if not path.exists():
        # a witness elsewhere, or a person, keeps a key where no file of it is left behind; the server knows it all the same
        return [wrong(f"the key {path} is gone", f"put it back from its backup; without one: {place.provision()}")]
    try:
        public = Credential(path).public_key()
    except CredentialMissing:
        return [
            wrong(
                f"{path} holds no key", f"put it back from its backup; without one remove it, then {place.provision()}"
            )
        ]
    if public != known:
        return [
            wrong(f"{path} is not the key that the server knows", f"put the right one back, or {place.provision()}")
        ]
    return []


async def modes(place: Place) -> Sequence[Finding]:
    """Keys are readable by their owner alone, and nothing of the home can be written by everybody."""
    readable = [path for path in _all(place.home.root / _KEYS) if path.is_file() and path.lstat().st_mode & 0o077]
    writable = [path for path in _all(place.home.root) if _is_open_to_all(path)]
    found = [
        wrong(one_line(len(paths), what, str(paths[0])), fix)
        for paths, what, fix in (
            (readable, "others can read or write keys", f"chmod go= {place.home.root / _KEYS}/*/*"),
            (writable, "everybody can write", f"chmod -R o-w {place.home.root}"),
        )
        if paths
    ]
    return found or [fine("keys are their owner's alone, and nobody else writes to the home")]


def _all(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield folder
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(parent) / name


def _is_open_to_all(path: Path) -> bool:
    mode = path.lstat().st_mode
    return bool(mode & stat.S_IWOTH) and not stat.S_ISLNK(mode) and not stat.S_ISSOCK(mode)


async def store_key(place: Place) -> Sequence[Finding]:
    """The store is encrypted, and its key is there: without it nothing of the store can be read."""
    if not place.fleet.nats.encryption:
        return [fine("the store is not encrypted, as the fleet file says")]
    path = place.home.store_key
    if not path.is_file() or not path.read_bytes().strip():
        return [
            wrong(f"the key of the store is not in {path}", f"copy it back; it is {NATS_SERVER}'s alone (mode 0600)")
        ]
    return [fine("the store is encrypted; keep a copy of its key elsewhere")]
