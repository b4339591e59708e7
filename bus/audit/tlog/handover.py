"""Hand-overs: the old key of a log or of a witness names the key that signs in its place, and that key agrees.

    agentbus hand-over v1
    <origin of the log>
    <size>
    <base64 of the root>
    <verifier key that signed up to this size>
    <verifier key that signs from here on>

    — <key name> <signature of the old key>
    — <key name> <signature of the new key>

What the log held at that size is in it: so whoever has the old key cannot put another history before the hand-over,
and nothing that it signs of a larger log is believed. The text has more lines than a checkpoint and another first one:
neither can be taken for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.tlog.checkpoint import Checkpoint, open_checkpoint
from bus.audit.tlog.errors import Malformed, NotVerified
from bus.audit.tlog.note import ED25519, Key, Note, cosign, sign

_FIRST: Final = "agentbus hand-over v1"
_LINES: Final = 6


@dataclass(frozen=True, slots=True)
class Handover:
    """Up to the log's first `at.size` messages `old` signs, from there on `new`. `note` is what both signed."""

    at: Checkpoint
    old: Key
    new: Key
    note: bytes

    @property
    def name(self) -> str:
        """Whose key it is, as notes name it."""
        return self.new.name

    @classmethod
    def parse(cls, data: bytes) -> Handover:
        """Read one, and check both signatures.

        Raises:
            Malformed: it is none. NotVerified: one of the two keys did not sign it.
        """
        note = Note.parse(data)
        lines = note.text.split("\n")
        if len(lines) != _LINES + 1 or lines[0] != _FIRST:
            raise Malformed(f"a hand-over's text is {_LINES} lines, of which the first is {_FIRST!r}")
        at = Checkpoint.parse("\n".join([*lines[1:4], ""]))
        old, new = Key.parse(lines[4]), Key.parse(lines[5])
        if (old.name, old.kind) != (new.name, new.kind) or old.public == new.public:
            raise Malformed("a hand-over is from one key to another of the same name")
        if len(note.verified([old, new])) != 2:
            raise NotVerified(f"the hand-over of the key of {old.name} is not signed by both keys")
        return cls(at, old, new, data)


def is_handover(data: bytes) -> bool:
    """Whether it says that it is one."""
    return data.startswith(f"{_FIRST}\n".encode())


def hand_over(
    at: Checkpoint, name: str, kind: int, old: Ed25519PrivateKey, new: Ed25519PrivateKey, now_s: int
) -> Handover:
    """Have both keys sign. `at` is the last checkpoint that the old one signed."""
    keys = [Key(name, kind, private.public_key().public_bytes_raw()) for private in (old, new)]
    text = f"{_FIRST}\n{at.text()}{keys[0]}\n{keys[1]}\n"
    signatures = [
        sign(text, name, private) if kind == ED25519 else cosign(text, name, private, now_s) for private in (old, new)
    ]
    return Handover.parse(bytes(Note(text, tuple(signatures))))


@dataclass(frozen=True, slots=True)
class Lineage:
    """The keys that go by one name, one after the other: `key` is the one of now."""

    key: Key
    handovers: tuple[Handover, ...] = ()
    """From which key to which, in order."""

    @property
    def name(self) -> str:
        """The name of all of them."""
        return self.key.name

    def at(self, size: int) -> Key:
        """The key that signs of a log of this size."""
        return next((one.old for one in self.handovers if size <= one.at.size), self.key)

    def others(self, size: int) -> tuple[Key, ...]:
        """Those that may not."""
        known = [*(one.old for one in self.handovers), self.key]
        return tuple(key for key in known if key != self.at(size))

    def open(self, data: bytes) -> tuple[Checkpoint, Note]:
        """Read a checkpoint and check that the key of its size signed it.

        Raises:
            Malformed: it is none. NotVerified: it is of another log, or not signed by that key.
        """
        note = Note.parse(data)
        size = Checkpoint.parse(note.text).size
        self.require_no_other(note, size)
        return open_checkpoint(data, self.at(size))

    def require_no_other(self, note: Note, size: int) -> None:
        """Refuse what a key of this name signed of a log that it does not sign for.

        Raises:
            NotVerified: one did.
        """
        signed = {(one.name, one.key_id) for one in note.signatures}
        for key in (one for one in self.others(size) if (one.name, one.key_id) in signed):
            raise NotVerified(f"{key} signed a checkpoint of {size}, where {self.at(size)} signs for {self.name}")
