"""Signed notes: a text and who signed it, as lines that people can read, copy and compare.

    text, one or more lines
    (an empty line)
    — <key name> <base64 of key id and signature>

Source: C2SP signed-note v1.0.0; C2SP tlog-cosignature (type 0x04).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bus.audit.tlog.errors import Malformed, NotVerified

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
_KINDS = frozenset({ED25519, COSIGNATURE})
_DASH = "\u2014 "
_KEY_ID_BYTES, _TIME_BYTES, _SIGNATURE_BYTES, _PUBLIC_BYTES = 4, 8, 64, 32
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_LATEST = 2**63 - 1
MAX_NOTE_BYTES: Final = 64 * 1024
MAX_SIGNATURES: Final = 64


class Signature(NamedTuple):
    """One signature line: `blob` is what follows the key id."""

    name: str
    key_id: bytes
    blob: bytes

    def line(self) -> str:
        """As it stands in a note, with its line end."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.blob).decode()}\n"


@dataclass(frozen=True, slots=True)
class Key:
    """A public key with the name and the kind (`ED25519`, `COSIGNATURE`) that its signatures go by."""

    name: str
    kind: int
    public: bytes
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        _require_name(self.name)
        if self.kind not in _KINDS or len(self.public) != _PUBLIC_BYTES:
            raise Malformed(f"the key {self.name} is not of a kind that is known")
        told = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        object.__setattr__(self, "key_id", sha256(told).digest()[:_KEY_ID_BYTES])

    @classmethod
    def parse(cls, vkey: str) -> Key:
        """Read a verifier key, `<name>+<key id>+<base64 of kind and key>`.

        Raises:
            Malformed: it is none, or its id is not its own.
        """
        match = _VKEY.fullmatch(vkey)
        material = decoded(match[3]) if match else b""
        if match is None or not material:
            raise Malformed(f"{vkey[:80]!r} is not a verifier key (name+id+key)")
        key = cls(match[1], material[0], material[1:])
        if key.key_id.hex() != match[2]:
            raise Malformed(f"the verifier key of {key.name} has the id of another key")
        return key

    def __str__(self) -> str:
        material = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    def verify(self, text: str, signature: Signature) -> int:
        """Check a signature of this key; returns the time of a cosignature, 0 for a plain one.

        Raises:
            NotVerified: it is not over this text.
        """
        is_timed = self.kind == COSIGNATURE
        size = _SIGNATURE_BYTES + (_TIME_BYTES if is_timed else 0)
        if len(signature.blob) != size:
            raise NotVerified(f"the signature of {self.name} has {len(signature.blob)} bytes instead of {size}")
        time_s = int.from_bytes(signature.blob[:_TIME_BYTES]) if is_timed else 0
        if time_s > _LATEST:
            raise NotVerified(f"the time of {self.name}'s cosignature cannot be")
        message = cosigned_message(text, time_s) if is_timed else text.encode()
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature.blob[-_SIGNATURE_BYTES:], message)
        except (InvalidSignature, ValueError):
            raise NotVerified(f"the signature of {self.name} is not over this text") from None
        return time_s


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read; nothing in it is believed before `verified`."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note.

        Raises:
            Malformed: the bytes are none.
        """
        if len(data) > MAX_NOTE_BYTES:
            raise Malformed(f"a note of {len(data)} bytes is longer than {MAX_NOTE_BYTES}")
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise Malformed("the note is not UTF-8") from None
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not text or not lines.endswith("\n") or _CONTROL.search(whole):
            raise Malformed("not a signed note: a text, an empty line, and signature lines")
        return cls(text + "\n", parse_signatures(lines))

    def __bytes__(self) -> bytes:
        return (self.text + "\n" + "".join(one.line() for one in self.signatures)).encode()

    def verified(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Which of these keys signed the note, and when, for those that say. Signatures of other keys are ignored.

        Raises:
            NotVerified: a signature of one of these keys is false.
        """
        known = {(key.name, key.key_id): key for key in keys}
        found: dict[Key, int] = {}
        for signature in self.signatures:
            key = known.get((signature.name, signature.key_id))
            if key is not None:
                found.setdefault(key, key.verify(self.text, signature))
        return found

    def signed(self, *more: Signature) -> Note:
        """The note with further signatures behind its own."""
        return Note(self.text, (*self.signatures, *more))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Read signature lines, each with its line end.

    Raises:
        Malformed: one is none, or they are too many.
    """
    found = lines.split("\n")
    if found.pop() or not 0 < len(found) <= MAX_SIGNATURES:
        raise Malformed(f"from 1 to {MAX_SIGNATURES} signature lines, each with a line end, are needed")
    return tuple(map(_signature, found))


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    blob = decoded(encoded)
    if not line.startswith(_DASH) or not space or len(blob) <= _KEY_ID_BYTES:
        raise Malformed("a signature line is not of the form: dash, key name, base64")
    _require_name(name)
    return Signature(name, blob[:_KEY_ID_BYTES], blob[_KEY_ID_BYTES:])


def sign(text: str, name: str, private: Ed25519PrivateKey) -> Signature:
    """A plain signature over a note's text."""
    key = Key(name, ED25519, private.public_key().public_bytes_raw())
    return Signature(name, key.key_id, private.sign(text.encode()))


def cosign(text: str, name: str, private: Ed25519PrivateKey, time_s: int) -> Signature:
    """A witness's cosignature over a checkpoint's text."""
    key = Key(name, COSIGNATURE, private.public_key().public_bytes_raw())
    blob = time_s.to_bytes(_TIME_BYTES) + private.sign(cosigned_message(text, time_s))
    return Signature(name, key.key_id, blob)


def cosigned_message(text: str, time_s: int) -> bytes:
    """What a cosignature is over."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def decoded(text: str) -> bytes:
    """The bytes behind base64 that is written in the one canonical way; empty when it is not."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if base64.b64encode(found).decode() == text else b""


def decoded_hashes(lines: Sequence[str], at_most: int) -> list[bytes]:
    """The hashes of a proof, one a line.

    Raises:
        Malformed: one is not the base64 of a SHA-256 hash, or they are too many.
    """
    hashes = [decoded(line) for line in lines]
    if len(hashes) > at_most or any(len(one) != sha256().digest_size for one in hashes):
        raise Malformed(f"a proof has at most {at_most} lines, each the base64 of a hash")
    return hashes


def _require_name(name: str) -> None:
    if not name or "+" in name or any(one.isspace() for one in name):
        raise Malformed(f"{name[:80]!r} cannot name a key: no white space, no plus")
