"""A stream against its checkpoints, record by record: what agrees, and everything that does not."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.read import Record
from bus.audit.seal.check import Contradiction, SealCheck
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.note import ED25519, Key, Note, sign
from bus.audit.tlog.policy import Policy
from tests.harness.tlog_verifier import tree_hash

LOG, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
ORIGIN = "fleet/audit"
POLICY = Policy((Key(ORIGIN, ED25519, LOG.public_key().public_bytes_raw()),), {})


class Trail:
    """A stream that grows: events and checkpoints."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, payload: bytes, subject: str = "audit.agent.a.0.task") -> Record:
        """One more message."""
        sequence = len(self.records) + 1
        block = (
            f"NATS/1.0\r\nNats-Stream: AUDIT\r\nNats-Subject: {subject}\r\nNats-Sequence: {sequence}\r\n"
            f"Nats-Time-Stamp: 2026-01-01T00:00:{sequence:02}Z\r\n\r\n"
        )
        self.records.append(Record(sequence, "", subject, {}, payload, block=block.encode()))
        return self.records[-1]

    def grow(self, events: int) -> None:
        """Events."""
        for _ in range(events):
            self.add(b"event %d" % len(self.records))

    def checkpoint(self, size: int = 0) -> Checkpoint:
        """What a sealer says of its first messages."""
        leaves = [Leaf.of_answer(one.block, one.payload).data() for one in self.records[: size or None]]
        return Checkpoint(ORIGIN, len(leaves), tree_hash(leaves))

    def seal(self, checkpoint: Checkpoint | None = None, private: Ed25519PrivateKey = LOG) -> Checkpoint:
        """A checkpoint as a message."""
        checkpoint = checkpoint or self.checkpoint()
        text = checkpoint.text()
        self.add(bytes(Note(text, (sign(text, ORIGIN, private),))), "audit.seal")
        return checkpoint


def found(records: list[Record], *known: Checkpoint) -> list[Contradiction]:
    """Everything that does not agree."""

    def look() -> Iterator[Contradiction]:
        check = SealCheck(POLICY, known)
        for record in records:
            yield from check.add(record)
        yield from check.finish(len(records))

    return list(look())


def sealed() -> tuple[Trail, list[Checkpoint]]:
    """Three rounds of events, each sealed, and one that is not."""
    trail = Trail()
    checkpoints = []
    for events in (3, 4, 2):
        trail.grow(events)
        checkpoints.append(trail.seal())
    trail.grow(2)
    return trail, checkpoints


def test_what_was_sealed_agrees() -> None:
    """Checkpoints on the stream and from elsewhere, also of sizes that nobody published."""
    trail, checkpoints = sealed()
    assert found(trail.records, *checkpoints, *(trail.checkpoint(size) for size in range(1, 15))) == []


def test_every_changed_message_lies_between_two_checkpoints() -> None:
    """Each message before the last checkpoint in turn; after it nothing is known."""
    trail, checkpoints = sealed()
    firsts = [1, checkpoints[0].size + 1, checkpoints[1].size + 1]
    for place in range(checkpoints[-1].size):
        changed = list(trail.records)
        changed[place] = changed[place]._replace(block=changed[place].block.replace(b"T00:00:", b"T00:01:"))
        assert [one.sequence for one in found(changed)] == [max(first for first in firsts if first <= place + 1)]
    changed = [*trail.records[:-1], trail.records[-1]._replace(payload=b"another")]
    assert found(changed) == []


def test_a_cut_stream_is_known_by_a_checkpoint_from_elsewhere() -> None:
    """Wherever it is cut before that checkpoint's size, it is said where it ends now."""
    trail, checkpoints = sealed()
    last = checkpoints[-1]
    for end in range(last.size):
        assert [one.sequence for one in found(trail.records[:end], last)] == [end + 1]
    assert found(trail.records[: last.size], last) == []


def test_two_roots_for_one_size_are_found() -> None:
    """On the stream, or one there and one elsewhere: the log's own key signed both."""
    trail, checkpoints = sealed()
    forged = Checkpoint(ORIGIN, checkpoints[-1].size, bytes(32))
    assert [one.sequence for one in found(trail.records, forged)] != []
    trail.seal(forged)
    assert len(found(trail.records)) == 1
    again, _ = sealed()
    again.records = again.records[: checkpoints[-1].size + 1]
    again.seal(forged)
    (one,) = found(again.records)
    assert ("have different roots" in one.problem, one.sequence) == (True, len(again.records))


def test_checkpoints_that_cannot_be_are_found() -> None:
    """One of a size that its stream does not have yet, one that goes back, one of another key or none."""
    trail, checkpoints = sealed()
    at = len(trail.records) + 1
    cases = (
        (Checkpoint(ORIGIN, 99, bytes(32)), LOG, "stands before its end"),
        (checkpoints[0], LOG, "stands after one of"),
        (trail.checkpoint(), STRANGER, "not a checkpoint of the sealer"),
        (Checkpoint("another/log", 3, bytes(32)), LOG, "not a checkpoint of the sealer"),
    )
    for checkpoint, key, said in cases:
        trail, _ = sealed()
        trail.seal(checkpoint, key)
        (one,) = found(trail.records)
        assert said in one.problem, one
        assert one.sequence == at
    trail, _ = sealed()
    trail.add(b"junk", "audit.seal")
    assert [one.sequence for one in found(trail.records)] == [at]


def test_a_gap_ends_the_check_without_false_findings() -> None:
    """What is missing is found by its sequence, elsewhere; no later checkpoint is blamed for it."""
    trail, _ = sealed()
    assert found([*trail.records[:1], *trail.records[2:]]) == []
