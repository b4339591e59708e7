"""Files of the home: keys with their modes and owners, and what is generated from them and the fleet file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from bus.audit.trust import dump_trust
from bus.credentials import Credential, is_public_key
from bus.discovery.agent_keys import dump_agent_keys
from bus.errors import CredentialMissing, NotProvisioned
from bus.provision.archive_list import read_archives
from bus.provision.authority import believed
from bus.provision.contexts import context_of, contexts
from bus.provision.drift.drift import PROVISION, Drift, Kind, Looked
from bus.provision.members import server_url, servers_of
from bus.provision.packet_filter import packet_filter
from bus.provision.provision import key_files_of, route_secret, trust_of
from bus.provision.seal_policy import seal_policy_of
from bus.provision.server_config import Keys, server_config
from bus.provision.store_switch import is_told, key_before
from bus.provision.tls import SERVER_DAYS, expires_at
from bus.provision.user_keys import dump_user_keys
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet

_SECRET: Final = 0o077
"""Bits that no file with a key may have."""
_SOON: Final = timedelta(days=30)
_IN_A_YEAR: Final = timedelta(days=365)
_GUARDED: Final = 0o027
"""Bits that what decides about rights may not have: the server's group may read it."""
_PUBLIC: Final = 0o022


def keys_of(fleet: Fleet, home: Home) -> tuple[Looked, Keys | None]:
    """How the key files are, and the public keys; None where one is missing, as nothing can be compared then."""
    files = key_files_of(fleet, home)
    publics = {key: public_of(path) for key, path in files.items()}
    found = [
        Drift("key", str(files[key]), "is missing or holds no key", f"put it back from a copy, or: {PROVISION}")
        for key, public in publics.items()
        if not public
    ]
    owner = home.credentials("").stat().st_uid if home.credentials("").exists() else os.getuid()
    secrets = [path for path in sorted(home.credentials("").rglob("*")) if path.is_file()]
    for path in secrets:
        found += _of_mode("key", path, _SECRET, owner)
    for folder in {path.parent for path in secrets}:  # who may write here may put another key there
        found += _of_mode("key", folder, _PUBLIC, owner)
    found += _strays(fleet, home, set(files.values()))
    if not is_told(home):
        says = "waits for the end of a rotation of the store's key that was interrupted"
        found.append(Drift("key", str(key_before(home)), says, "agentbus fleet rotate --store"))
    elif fleet.nats.encryption and not home.store_key.is_file():
        found.append(
            Drift(
                "key", str(home.store_key), "is missing: the key of the store", "put it back from a copy; keep copies"
            )
        )
    is_whole = all(publics.values())
    return Looked(len(files) + len(secrets), tuple(found)), publics if is_whole else None


def public_of(path: Path) -> str:
    """The public key of a key file; empty where there is none."""
    try:
        public = Credential(path).public_key()
    except (OSError, ValueError, CredentialMissing):
        return ""
    return public if is_public_key(public) else ""


def _of_mode(kind: Kind, path: Path, forbidden: int, owner: int) -> Iterator[Drift]:
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & forbidden:
        fix = f"chmod {mode & ~forbidden:o} {path}"
        yield Drift(kind, str(path), f"has mode {mode:o}: too many may use it", fix)
    if found.st_uid != owner:
        yield Drift(kind, str(path), f"belongs to user {found.st_uid}, not {owner}", f"chown {owner} {path}")


def _strays(fleet: Fleet, home: Home, wanted: set[Path]) -> Iterator[Drift]:
    """Keys that connect and that nobody of the fleet has: of who left, or of a rotation that was interrupted."""
    connecting = (names.BUS_CREDENTIAL, names.OWN_CREDENTIAL, names.TRAIL_CREDENTIAL)
    for path in sorted(home.credentials("").glob("*/*")):
        if path not in wanted and path.name.startswith(connecting):
            yield Drift("key", str(path), f"is of nobody in fleet {fleet.name}", f"rm {path}")


def generated(fleet: Fleet, home: Home, keys: Keys) -> Looked:
    """Whether each generated file says what it would say if it were made now."""
    total = Looked(0)
    for kind, forbidden, path, text in _texts(fleet, home, keys):
        total += Looked(1, tuple(_compared(kind, path, text, forbidden)))
    people = {path for kind, _, path, _ in _texts(fleet, home, keys) if kind == "context"}
    for path in sorted(context_of(home, "x").parent.glob("*.json")):
        if path not in people:
            total += Looked(1, (Drift("context", str(path), "is of nobody in the fleet", f"rm {path}"),))
    return total


def _texts(fleet: Fleet, home: Home, keys: Keys) -> Iterator[tuple[Kind, int, Path, bytes]]:
    yield "file", _PUBLIC, home.trust, dump_trust(trust_of(fleet, home))
    agents = {agent: keys[agent, names.BUS_CREDENTIAL] for agent in fleet.agents}
    yield "file", _PUBLIC, home.agent_keys, dump_agent_keys(agents)
    yield "file", _PUBLIC, home.seal_policy, str(seal_policy_of(fleet, home)).encode()
    yield "file", _PUBLIC, home.packet_filter, packet_filter(fleet).encode()
    yield "file", _GUARDED, home.user_keys, dump_user_keys(keys)
    if not fleet.nats.cluster or (home.credentials(names.CLUSTER) / "route.secret").exists():
        secret = route_secret(home) if fleet.nats.cluster else ""
        for server in servers_of(fleet, home):
            text = server_config(fleet, server, keys, None, secret, read_archives(home))
            yield "file", _GUARDED, server.config, text.encode()
    for path, context in contexts(fleet, home, server_url(fleet, home)).items():
        yield "context", _SECRET, path, context.encode()


def certificates(fleet: Fleet, home: Home, now: datetime) -> Looked:
    """Whether the server's certificate is there and good for a third of its time at least, and the authority's for long."""
    given = fleet.nats.given_files
    if not fleet.nats.has_tls:
        return Looked(0)
    if given:
        renew = f"replace {given.cert_file} and {given.key_file}, then: {PROVISION}"
        return Looked(1, tuple(_ending(Path(given.cert_file), now, _SOON, renew)))
    found = [*_ending(home.server_certificate, now, timedelta(days=SERVER_DAYS) / 3, PROVISION)]
    found += _ending(home.ca, now, _IN_A_YEAR, "agentbus fleet rotate --ca")
    if home.ca.exists() and len(believed(home)) > 1:
        says = "has two authorities, as the old one is being replaced"
        found.append(Drift("file", str(home.ca), says, "agentbus fleet rotate --ca --finish"))
    return Looked(2, tuple(found))


def _ending(certificate: Path, now: datetime, needed: timedelta, fix: str) -> Iterator[Drift]:
    try:
        left = expires_at(certificate) - now
    except NotProvisioned as error:
        yield Drift("file", str(certificate), f"cannot be used: {error}", fix)
        return
    if left < needed:
        yield Drift("file", str(certificate), f"is good for {left.days} days only; another is wanted", fix)


def _compared(kind: Kind, path: Path, text: bytes, forbidden: int) -> Iterator[Drift]:
    try:
        there = path.read_bytes()
    except FileNotFoundError:
        yield Drift(kind, str(path), "is missing", PROVISION)
        return
    except OSError as error:
        yield Drift(kind, str(path), f"cannot be read: {error.strerror}", "run this as its owner")
        return
    if there != text:
        yield Drift(kind, str(path), "is not what the fleet file and the keys make it", PROVISION)
    yield from _of_mode(kind, path, forbidden, path.stat().st_uid)
