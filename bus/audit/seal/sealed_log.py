"""The log as its sealer keeps it: every leaf it has read, the tree over them, and the checkpoint it signed last.

What was signed is on the disk before anybody is told, so that no two roots are ever signed for one size. After a
start the whole stream is read again and compared, leaf by leaf, with what was sealed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.seal.nodes import FileNodes
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.handover import Handover, Lineage, is_handover
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.merkle import CompactRange
from bus.audit.tlog.note import Note, sign
from bus.audit.tlog.proofs import consistency_proof, root_of
from bus.errors import SealContradicted
from bus.files import replace_durably
from schemas.errors import InvalidDocument

STATE: Final = "sealed.json"
NODES: Final = "nodes"


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was signed last: the note as text, and the tree's full subtrees (hex)."""

    note: str
    hashes: list[str]


class SealedLog:
    """One log with its signing key, `private`; `folder` is its sealer's alone.

    Raises:
        InvalidDocument: the log is to be signed with another key, or what was signed last is not of this log.
    """

    def __init__(self, folder: Path, log: Lineage, private: Ed25519PrivateKey) -> None:
        if private.public_key().public_bytes_raw() != log.key.public:
            raise InvalidDocument(
                f"the sealer has another key than the policy names for {log.name}; run: agentbus provision"
            )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log = log
        self._private = private
        self.sealed, self.note = last_sealed(folder, log)
        self._file = folder / STATE
        size = self.sealed.size if self.sealed else 0
        self._nodes = FileNodes(folder / NODES, size)
        if not self._nodes.is_whole or (self.sealed and root_of(self._nodes, size) != self.sealed.root):
            self._nodes.close()
            self._nodes = FileNodes(folder / NODES, 0)
        self._range = CompactRange()

    @property
    def size(self) -> int:
        """How many leaves were read since the start: the next one has this place and the stream sequence after it."""
        return self._range.size

    @property
    def is_checked(self) -> bool:
        """Whether everything that was sealed has been read again."""
        return self.sealed is None or self.size >= self.sealed.size

    def add(self, leaf: Leaf) -> None:
        """Take the next message of the stream.

        Raises:
            SealContradicted: it is not the next one, or not the one that was sealed in its place.
        """
        if leaf.place != self.size:
            raise SealContradicted(
                self.size + 1, f"stream sequence {self.size + 1} is missing; after {self.size} comes {leaf.sequence}"
            )
        hashed = leaf.hash()
        known = self._nodes.node(0, self.size) if self.size < self._nodes.size else hashed
        if known != hashed:
            raise SealContradicted(leaf.sequence, f"stream sequence {leaf.sequence} is not the message that was sealed")
        completed = self._range.append(hashed)
        if self.size > self._nodes.size:
            self._nodes.append(completed)
        if self.sealed and self.size == self.sealed.size and self._range.root() != self.sealed.root:
            raise SealContradicted(1, f"the first {self.size} messages are not those that were sealed")

    def require_last(self, leaf: Leaf) -> None:
        """Check that the message that was read last is still where it was.

        Raises:
            SealContradicted: another stands there, or none.
        """
        if leaf.place != self.size - 1 or leaf.hash() != self._nodes.node(0, leaf.place):
            raise SealContradicted(self.size, f"stream sequence {self.size} is not the message that was read before")

    def require_whole(self, last: int) -> None:
        """Check that a stream whose last sequence is `last` holds all that was read or sealed.

        Raises:
            SealContradicted: it was cut.
        """
        held = max(self.size, self.sealed.size if self.sealed else 0)
        if last < held:
            raise SealContradicted(last + 1, f"the stream ends with sequence {last}, but it held {held} messages")

    def require_ours(self, published: bytes) -> None:
        """Check a checkpoint that the stream holds on the sealer's own subject; one with another's signature is junk.

        Raises:
            SealContradicted: this log's key signed it, and it is of another history: the key was copied.
        """
        try:
            if is_handover(published):
                self._require_own(Handover.parse(published))
                return
            checkpoint, _ = self.log.open(published)
        except NotVerified:
            return
        if checkpoint.size > self.size or root_of(self._nodes, checkpoint.size) != checkpoint.root:
            raise SealContradicted(
                checkpoint.size, f"a checkpoint of {checkpoint.size} with another root is signed with the sealer's key"
            )

    def _require_own(self, handover: Handover) -> None:
        if handover.old == self.log.key:
            raise SealContradicted(
                self.size, f"the sealer's key was handed over to {handover.new} by somebody else who has it"
            )

    def seal(self) -> Note:
        """Sign what was read so far; the same note again when nothing was added. It is on the disk on return.

        Raises:
            OSError: the disk refuses; nothing was signed.
        """
        if self.note is not None and self.sealed is not None and self.size <= self.sealed.size:
            return self.note
        checkpoint = Checkpoint(self.log.name, self.size, self._range.root())
        text = checkpoint.text()
        note = Note(text, (sign(text, self.log.name, self._private),))
        self._nodes.save()
        state = _Sealed(bytes(note).decode(), [one.hex() for one in self._range.hashes])
        replace_durably(self._file, msgspec.json.encode(state))
        self.sealed, self.note = checkpoint, note
        return note

    def consistency(self, old: int) -> list[bytes]:
        """The proof that the first `old` messages begin those of the last checkpoint.

        Raises:
            ValueError: there is no such checkpoint.
        """
        return consistency_proof(self._nodes, old, self.sealed.size if self.sealed else 0)

    def close(self) -> None:
        """Close the files; what was not sealed is read again the next time."""
        self._nodes.close()


def last_sealed(folder: Path, log: Lineage) -> tuple[Checkpoint | None, Note | None]:
    """What the sealer whose folder this is signed last.

    Raises:
        InvalidDocument: what is there is not of this log.
    """
    file = folder / STATE
    try:
        state = msgspec.json.decode(file.read_bytes(), type=_Sealed)
        return log.open(state.note.encode())
    except FileNotFoundError:
        return None, None
    except (msgspec.DecodeError, NotVerified) as error:
        raise InvalidDocument(
            f"{file} is not what this sealer signed last: {error}; restore it, or move the folder away to "
            "begin anew: witnesses then see whether the history is the same"
        ) from None
