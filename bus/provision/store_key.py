"""The key that JetStream's files are encrypted with: made once, known to the server alone.

It reaches nats-server by its environment (`EnvironmentFile=` of the unit, `LocalServer` here) and stands in the
configuration as a variable, so whoever reads the configuration, an argument list or a log does not have it. What it
protects is a disk or a copy of one; root on the server's host has the key too. nats-server encrypts a store that is
not encrypted yet when it first starts with a key; its messages stay what they were (measured on 2.15).
It does not load a stream for which it has not the key, and says so in its log only. So nothing is made in its place.

Source: nats-server configuration reference (`jetstream.cipher`, `jetstream.key`), systemd.exec(5).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bus.errors import NotProvisioned
from bus.provision.members import servers_of
from bus.provision.store_switch import go_on, next_key
from bus.provision.streams import Stream
from bus.surroundings import Home
from schemas.fleet import Fleet
from schemas.ids import sha256_hex

VARIABLE: Final = "AGENTBUS_STORE_KEY"
_FILES_OF_A_KEY = "jetstream/*/streams/*/meta.key"


def ensure_store_key(fleet: Fleet, home: Home) -> Path | None:
    """The file with the line `AGENTBUS_STORE_KEY=…`, mode 0600, made unless it is there; None where nothing is encrypted.

    A rotation of the key that was interrupted when it was committed is finished first.

    Raises:
        NotProvisioned: the store is encrypted, and its key is gone or not to be used: it could not be read.
    """
    go_on(home)
    path = home.store_key
    encrypted = next((found for one in servers_of(fleet, home) for found in one.store.glob(_FILES_OF_A_KEY)), None)
    if not fleet.nats.encryption:
        if encrypted:
            raise NotProvisioned(f"{encrypted.parent} is encrypted; take nats.encryption: false out of the fleet file")
        return None
    if not path.exists():
        if encrypted:
            raise NotProvisioned(f"{encrypted.parent} is encrypted and {path} is gone; put that file back from a copy")
        _make(path)
    return path


def make_next_key(home: Home) -> None:
    """Make the key of a store that is to take the place of this one."""
    _make(next_key(home))


def digest_of(path: Path) -> str:
    """What a key file can be called by: its digest, from which a key of 256 random bits is not found."""
    return sha256_hex(path.read_bytes().strip())


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Begins with a letter: nats-server reads the value as it would stand in its configuration, where digits are a number.
    line = f"{VARIABLE}=key-{secrets.token_hex(32)}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def refuse_unread(stream: Stream, stores: Iterable[Path]) -> None:
    """Of a stream that the server says it has not: refuse when its files are there.

    Raises:
        NotProvisioned: the server could not read them; one that is made now would be in their place.
    """
    for store in stores:
        files = store / "jetstream" / stream.account / "streams" / stream.name
        if files.exists():
            raise NotProvisioned(
                f"the server does not have {stream.name}, but its files are in {files}: it could not read them, as with "
                "another key than theirs; its log says why. Nothing is made over them"
            )
