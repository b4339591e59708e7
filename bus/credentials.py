"""Key files: where a process finds its identity, and how one is made.

A credential is a file that holds an nkey seed, mode 0600. systemd hands a directory of them over as
`$CREDENTIALS_DIRECTORY/<name>_<file>`; elsewhere the files lie in one folder per process.

Source: NATS nkeys; systemd.exec(5) LoadCredential=.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import nkeys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bus.errors import CredentialMissing
from schemas.redaction import REGISTERED

_SEED_BYTES = slice(2, 34)
_KEY_BYTES = slice(1, 33)
_PUBLIC = re.compile(r"U[A-Z2-7]{55}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A key file; the seed itself never sits in an attribute, a log line or a `repr`."""

    path: Path

    @classmethod
    def find(cls, directory: Path, name: str) -> Credential:
        """The credential `name` in `directory`, plain or as systemd names it.

        Raises:
            CredentialMissing: it is not there, or others than the owner can read it.
        """
        found = sorted(p for p in (directory / name, *directory.glob(f"*_{name}")) if p.is_file())
        if not found:
            raise CredentialMissing(f"no key file {name} in {directory}; run: agentbus provision")
        mode = stat.S_IMODE(found[0].stat().st_mode)
        if mode & 0o077 and not _is_systemd(directory):
            raise CredentialMissing(f"{found[0]} can be read by others (mode {mode:o}); run: chmod 600 {found[0]}")
        return cls(found[0])

    def public_key(self) -> str:
        """The public nkey (`U…`) that the server's configuration and auditors' trust files name.

        Raises:
            CredentialMissing: the file holds no key.
        """
        return str(_keypair(self.path).public_key.decode())

    def signing_key(self) -> Ed25519PrivateKey:
        """The key as `cryptography` signs with it."""
        seed = self.path.read_bytes().strip()
        REGISTERED.add(seed.decode("ascii", "replace"))
        return Ed25519PrivateKey.from_private_bytes(_unpad32(seed)[_SEED_BYTES])


def create_credential(path: Path) -> Credential:
    """Make a new user nkey in `path`, unless there is one; only its owner can read it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(seed) + b"\n")
    return Credential(path)


def public_nkey(key: Ed25519PrivateKey) -> str:
    """The public user nkey (`U…`) of a key that is in no file."""
    seed = nkeys.encode_seed(key.private_bytes_raw(), nkeys.PREFIX_BYTE_USER)
    return str(nkeys.from_seed(bytearray(seed)).public_key.decode())


def verifying_key(public: str) -> Ed25519PublicKey:
    """The key behind a public nkey, as `cryptography` verifies with it."""
    return Ed25519PublicKey.from_public_bytes(_unpad32(public.encode())[_KEY_BYTES])


def is_public_key(text: str) -> bool:
    """Whether it is a user's public nkey, with a key in it."""
    try:
        return _PUBLIC.fullmatch(text) is not None and verifying_key(text) is not None
    except ValueError:
        return False


def _keypair(path: Path) -> nkeys.KeyPair:
    try:
        return nkeys.from_seed(bytearray(path.read_bytes().strip()))
    except nkeys.NkeysError:
        raise CredentialMissing(f"{path} holds no key; put it back from its backup, or make a new one") from None


def _unpad32(text: bytes) -> bytes:
    return base64.b32decode(text + b"=" * (-len(text) % 8))


def _is_systemd(directory: Path) -> bool:
    # systemd's credential files are 0440 for the unit's user, in a directory only that user can enter
    return os.environ.get("CREDENTIALS_DIRECTORY") == str(directory)
