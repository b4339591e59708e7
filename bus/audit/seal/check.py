"""Checking a stream against signed checkpoints: those that lie in it, and those that somebody kept elsewhere.

Memory does not grow with the stream: hashes that wait for a checkpoint for long lie in a file without a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bus.audit.read import Record
from bus.audit.seal.nodes import RememberedLeaves
from bus.audit.seal.passing import Passing
from bus.audit.seal.policy_file import log_of
from bus.audit.seal.waiting import LeafQueue
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import Malformed, NotVerified
from bus.audit.tlog.handover import is_handover
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.merkle import CompactRange
from bus.audit.tlog.note import Note
from bus.audit.tlog.policy import Policy
from schemas import subjects
from schemas.errors import InvalidDocument

_FILE = "checkpoint"


class Contradiction(NamedTuple):
    """Where the stream and a checkpoint disagree, as far as that is known, and how.

    `last` is 0 where `sequence` is the place; else it is one from `sequence` to `last`.
    """

    sequence: int
    subject: str
    problem: str
    last: int = 0


class SealCheck:
    """Feed it every record from the first on; `known` are checkpoints from outside the stream.

    With what the sealer `remembers`, a changed message is named; without, it is known between which checkpoints it is.
    With the tree `before` it, the first record is the one after that tree; checkpoints of smaller trees are left out.
    """

    def __init__(
        self,
        policy: Policy,
        known: Iterable[Checkpoint] = (),
        remembers: RememberedLeaves | None = None,
        before: CompactRange | None = None,
    ) -> None:
        self._range = before or CompactRange()
        self._remembers = remembers
        self._first_other = 0
        """The first sequence with another hash than the sealer remembers."""
        self._policy = policy
        self._log = log_of(policy)
        self._passing = Passing(policy, self._log, self._range.size)
        self._known: dict[int, list[Checkpoint]] = {}
        kept = [*known, *self._passing.expected()]
        for checkpoint in dict.fromkeys(one for one in kept if one.size >= self._range.size):
            self._known.setdefault(checkpoint.size, []).append(checkpoint)
        self._ahead = LeafQueue()
        """Hashes of the leaves after the last checkpoint."""
        self._last: Checkpoint | None = None
        self._is_broken = False
        self._anchored = self._range.size
        """Up to here it is what was sealed by one whom more than the sealer's key vouches for."""
        self.checkpoints = 0
        self.sealed = self._range.size
        """Up to here the stream is what was sealed."""
        self.hashed = b""
        """The hash of the last record; empty after a gap."""
        self.witnesses: tuple[str, ...] = ()
        """Who cosigned the last checkpoint."""

    @property
    def is_expecting(self) -> bool:
        """Whether somebody remembers that there were messages."""
        return bool(self._known)

    @property
    def doubt(self) -> str:
        """Why it cannot be told whose keys are to be believed; empty where it can."""
        return self._passing.doubt

    def add(self, record: Record) -> Iterator[Contradiction]:
        """Take the next record. After a gap nothing more can be checked; that gap is evidence enough."""
        self.hashed = b""
        if self._is_broken:
            return
        try:
            leaf = Leaf.of_answer(record.block, record.payload)
        except Malformed as error:
            self._is_broken = True
            problem = f"it cannot be checked against the checkpoints: {error}"
            yield Contradiction(record.sequence, record.subject, problem)
            return
        if leaf.place != self._range.size + len(self._ahead):
            self._is_broken = True
            return
        self.hashed = hashed = leaf.hash()
        self._ahead.append(hashed)
        if self._remembers and not self._first_other and self._remembers.hash(leaf.place) not in {hashed, b""}:
            self._first_other = leaf.sequence
        if leaf.subject == subjects.SEAL.encode() and not record.problem:
            yield from self._published(record)

    def finish(self, last: int) -> Iterator[Contradiction]:
        """Say what is missing from a stream whose last sequence is `last`."""
        self._passing.finish()
        yield from self._compared_with_known(last)
        for size in sorted(self._known):
            yield Contradiction(last + 1, "", f"{size} messages were sealed, but the stream ends with sequence {last}")

    def _published(self, record: Record) -> Iterator[Contradiction]:
        what = "hand-over of a key" if is_handover(record.payload) else "checkpoint of the sealer"
        try:
            if is_handover(record.payload):
                at = self._passing.take(record.payload)
                yield from self._compared_with_known(at.size)
                yield from self._compared(at, record.sequence) if at.size else ()
                return
            if self._passing.is_of_a_successor(record.payload):
                return
            checkpoint, note = self._log.open(record.payload)
            witnesses = self._policy.witnessed(note)
            self._passing.require_in_turn(checkpoint, note)
        except NotVerified as error:
            problem = f"it is not a {what}: {error}"
            yield Contradiction(record.sequence, record.subject, problem)
            return
        self.checkpoints += 1
        yield from self._compared_with_known(checkpoint.size)
        found = list(self._compared(checkpoint, record.sequence))
        yield from found
        if not found:
            self.witnesses = tuple(witnesses)
            if witnesses or not self._policy.witnesses:
                self._anchored = checkpoint.size

    def _compared_with_known(self, up_to: int) -> Iterator[Contradiction]:
        for size in sorted(size for size in self._known if size <= up_to):
            for checkpoint in self._known.pop(size):
                found = list(self._compared(checkpoint, size))
                yield from found
                if not found:
                    self._anchored = size

    def _compared(self, checkpoint: Checkpoint, stands_at: int) -> Iterator[Contradiction]:
        """`stands_at` is the sequence of the message that it is; of one from elsewhere, its size."""
        if self._is_broken:
            return
        if problem := self._impossible(checkpoint):
            yield Contradiction(stands_at, subjects.SEAL, problem)
            return
        for leaf in self._ahead.take(checkpoint.size - self._range.size):
            self._range.append(leaf)
        self._last = checkpoint
        if self._range.root() == checkpoint.root:
            self.sealed = checkpoint.size
            return
        self._is_broken = True  # every later checkpoint is contradicted too
        yield self._located(checkpoint)

    def _impossible(self, checkpoint: Checkpoint) -> str:
        size, sealed = checkpoint.size, self._range.size
        if self._last and size == self._last.size and checkpoint.root != self._last.root:
            return f"two checkpoints of {size} have different roots: a sealer's key signed two histories"
        if size < sealed:
            return f"a checkpoint of {size} stands after one of {sealed}"
        return f"a checkpoint of {size} stands before its end" if size > sealed + len(self._ahead) else ""

    def _located(self, checkpoint: Checkpoint) -> Contradiction:
        first, last = min(self._anchored, self.sealed) + 1, checkpoint.size
        remembered = self._remembers and self._remembers.lead_to(last, checkpoint.root)
        if remembered and first <= self._first_other <= last:
            problem = f"it is not the message that was sealed, by the checkpoint of {last}"
            return Contradiction(self._first_other, "", problem)
        problem = (
            f"of stream sequences {first} to {last} at least one is not what was sealed, by the checkpoint of {last}"
        )
        return Contradiction(first, "", problem, 0 if first == last else last)


def find_checkpoints(state: Path, policy: Policy) -> list[Checkpoint]:
    """Those that a sealer and witnesses keep below `state` on this host. Read them *before* the stream."""
    return [read_checkpoint(path, policy) for path in sorted(state.glob(f"*/{_FILE}"))]


def read_checkpoint(path: Path, policy: Policy) -> Checkpoint:
    """A checkpoint that somebody kept in a file.

    Raises:
        InvalidDocument: there is none, or the fleet's log did not sign it.
    """
    return read_note(path, policy)[0]


def read_note(path: Path, policy: Policy) -> tuple[Checkpoint, Note]:
    """As `read_checkpoint`, with everybody's signatures."""
    try:
        return log_of(policy).open(path.read_bytes())
    except (OSError, NotVerified) as error:
        raise InvalidDocument(f"{path} is not a checkpoint of this fleet's trail: {error}") from None
