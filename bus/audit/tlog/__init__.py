"""A transparency log without I/O: Merkle tree and proofs, signed notes, checkpoints, cosignatures, policies."""
