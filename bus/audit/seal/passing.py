"""The keys of the seal as they pass from one to the next along a stream: each signs in its own stretch, and no other.

A hand-over must stand on the stream before anything that the new key signed, and after everything that the old one did.
One that this auditor's policy does not know is no evidence: the policy may be from before it. Then nothing that the new
key signed can be judged, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator

from bus.audit.tlog.checkpoint import Checkpoint, open_checkpoint
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.handover import Handover, Lineage
from bus.audit.tlog.note import Key, Note
from bus.audit.tlog.policy import Policy


class Passing:
    """Feed it what stands on the sealer's subject, in order. What a tree of `before` messages covers is taken as seen."""

    def __init__(self, policy: Policy, log: Lineage, before: int) -> None:
        self._log = log
        self._known = policy.handovers
        self._seen = {one.note for one in policy.handovers if one.at.size < before}
        self._present = {log.key, *policy.witnesses.values()}
        self._successors: list[Handover] = []
        self._asked: dict[str, str] = {}
        """What an auditor is to do, by whose key it is about."""

    @property
    def doubt(self) -> str:
        """What cannot be judged, and what to do; empty when there is nothing of the kind."""
        return "; ".join(self._asked.values())

    def expected(self) -> Iterator[Checkpoint]:
        """What both keys say that the log held when one took over from the other."""
        return (one.at for one in self._known if one.at.size)

    def take(self, payload: bytes) -> Checkpoint:
        """A hand-over on the stream; returns what it says of the log.

        Raises:
            NotVerified: it is none, of another log, a second time, not in turn, or to another key than the policy says.
        """
        found = Handover.parse(payload)
        if found.at.origin != self._log.name:
            raise NotVerified(f"it is of {found.at.origin[:80]!r}, not of {self._log.name}")
        if found.note in self._seen:
            raise NotVerified(f"the key of {found.name} was handed over so before")
        before = [one for one in self._of(found.name) if one.note not in self._seen]
        if before and before[0].note == found.note:
            self._seen.add(found.note)
        elif found.old in self._present:
            self._succeed(found)
        else:
            raise NotVerified(f"{found.old} was not to hand over to {found.new}, as the policy has it")
        return found.at

    def is_of_a_successor(self, payload: bytes) -> bool:
        """Whether the key that signed this checkpoint is one that only the stream knows of."""
        return any(_signed(payload, one.new) for one in self._successors if one.name == self._log.name)

    def require_in_turn(self, checkpoint: Checkpoint, note: Note) -> None:
        """Check that the keys that signed this checkpoint are those of this place on the stream.

        Raises:
            NotVerified: one was handed over before, or took over without a hand-over before.
        """
        size, signed = checkpoint.size, {one.name for one in note.signatures}
        for one in (one for one in (*self._known, *self._successors) if one.name in signed):
            is_seen = one.note in self._seen or one in self._successors
            if is_seen and (size <= one.at.size or one in self._successors) and _has(note, one.old):
                raise NotVerified(f"{one.old} signed it, which had handed over at {one.at.size}: somebody else has it")
            if not is_seen and size > one.at.size:
                raise NotVerified(f"{one.new} signed it, and no hand-over of {one.old} stands before it")

    def finish(self) -> None:
        """The stream has ended: what of the policy was not on it?"""
        for one in (one for one in self._known if one.note not in self._seen):
            self._asked.setdefault(
                one.name,
                f"the hand-over of the key of {one.name} at {one.at.size} is not on the trail: it is published when the "
                "sealer runs again, or the end was cut; see that the sealer runs, and verify again",
            )

    def _of(self, name: str) -> list[Handover]:
        return [one for one in self._known if one.name == name]

    def _succeed(self, found: Handover) -> None:
        self._successors.append(found)
        self._present = (self._present - {found.old}) | {found.new}
        self._asked[found.name] = (
            f"the key of {found.name} was replaced by {found.new} at {found.at.size}, as the key signed that you have, and "
            "your seal.policy is from before: have the operators give you public/seal.policy as it is now, by a way that "
            "you trust, see that it names that key, and verify again"
        )


def _signed(payload: bytes, key: Key) -> bool:
    try:
        open_checkpoint(payload, key)
    except NotVerified:
        return False
    return True


def _has(note: Note, key: Key) -> bool:
    return any((one.name, one.key_id) == (key.name, key.key_id) for one in note.signatures)
