"""Proofs from the stream, as an auditor makes them: of one message, and of two checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bus.audit.read import Reader
from bus.audit.seal.policy_file import log_of
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.merkle import MemoryNodes
from bus.audit.tlog.note import Note
from bus.audit.tlog.policy import Policy
from bus.audit.tlog.proof_file import ProofFile
from bus.audit.tlog.proofs import consistency_proof, inclusion_proof, root_of, verify_consistency
from schemas import subjects

EXTENSION: Final = ".tlog-proof"


@dataclass
class ReadLog:
    """The whole stream as a tree (64 bytes a message), its checkpoints by size, and one message of it."""

    nodes: MemoryNodes = field(default_factory=MemoryNodes)
    checkpoints: dict[int, tuple[Checkpoint, Note]] = field(default_factory=dict)
    wanted: Leaf | None = None

    def require(self, checkpoint: Checkpoint) -> None:
        """Check that the stream is what this checkpoint says.

        Raises:
            NotVerified: it is not, or not any more.
        """
        size = checkpoint.size
        if size > self.nodes.range.size:
            raise NotVerified(f"the stream holds {self.nodes.range.size} messages, the checkpoint is of {size}")
        if root_of(self.nodes, size) != checkpoint.root:
            raise NotVerified(f"the first {size} messages are not those of the checkpoint; run: agentbus audit verify")


def _ignore(_sequence: int) -> None:
    """Nobody watches."""


async def read_log(
    reader: Reader, policy: Policy, wanted: int = 0, on_progress: Callable[[int], None] = _ignore
) -> ReadLog:
    """Read the stream; `wanted` is the sequence of the message to keep, `on_progress` is told each that was read.

    Raises:
        NotVerified: messages are missing, or cannot be read. Unavailable, DeadlineExceeded: the server went away.
    """
    log, lineage = ReadLog(), log_of(policy)
    async for record in reader.records():
        leaf = Leaf.of_answer(record.block, record.payload)
        if leaf.place != log.nodes.range.size:
            raise NotVerified(f"stream sequence {log.nodes.range.size + 1} is missing; run: agentbus audit verify")
        log.nodes.append(leaf.hash())
        on_progress(leaf.sequence)
        if leaf.sequence == wanted:
            log.wanted = leaf
        if leaf.subject == subjects.SEAL.encode():
            try:
                checkpoint, note = lineage.open(record.payload)
            except NotVerified:
                continue  # a hand-over, or junk that somebody steered there
            log.checkpoints[checkpoint.size] = checkpoint, note
    return log


def prove_message(log: ReadLog, policy: Policy, sequence: int) -> ProofFile:
    """That the message is on the trail: under the latest checkpoint that is cosigned as the policy demands.

    Raises:
        NotVerified: there is no such message or checkpoint yet, or the stream is not what was sealed.
    """
    if log.wanted is None:
        raise NotVerified(f"the stream has no sequence {sequence}; it ends with {log.nodes.range.size}")
    problem = "no checkpoint covers it yet; does the sealer run?"
    for size in sorted(log.checkpoints, reverse=True):
        checkpoint, note = log.checkpoints[size]
        if size < sequence:
            break
        try:
            policy.require_quorum(note)
        except NotVerified as error:
            problem = str(error)
            continue
        log.require(checkpoint)
        path = inclusion_proof(log.nodes, log.wanted.place, size)
        return ProofFile(log.wanted.place, tuple(path), bytes(note), log.wanted.data())
    raise NotVerified(f"sequence {sequence} cannot be proven: {problem}")


def check_proof(data: bytes, policy: Policy) -> tuple[Leaf, Checkpoint, dict[str, int]]:
    """Verify a proof file offline; returns the message, the checkpoint, and who cosigned it when.

    Raises:
        NotVerified: it proves nothing under this policy.
    """
    proof = ProofFile.parse(data)
    leaf = Leaf.parse(proof.extra)
    if leaf.place != proof.index:
        raise NotVerified(f"the proof is of entry {proof.index}, the message says that it is {leaf.place}")
    witnesses = proof.verify(leaf.hash(), policy)
    return leaf, Checkpoint.parse(Note.parse(proof.checkpoint).text), witnesses


def prove_consistency(log: ReadLog, old: Checkpoint, new: Checkpoint) -> list[bytes]:
    """The proof that `old` is the beginning of `new`, checked against both roots.

    Raises:
        NotVerified: it is not.
    """
    if old.size > new.size:
        raise NotVerified(f"the first checkpoint is of {old.size}, the second of {new.size}: name the older one first")
    log.require(new)
    proof = consistency_proof(log.nodes, old.size, new.size)
    verify_consistency(old.size, new.size, proof, old.root, new.root)
    return proof
