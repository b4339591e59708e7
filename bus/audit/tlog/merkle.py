"""The Merkle tree of a log: hashes, and a tree that only grows.

A leaf and an inner node are hashed with different first bytes, so that neither can be passed off as the other.

Source: RFC 6962 §2.1.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Protocol

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node above two others."""
    return sha256(b"\x01" + left + right).digest()


class Nodes(Protocol):
    """Where proofs get hashes from: every full subtree of the log, by `level` (a leaf is 0) and place on it."""

    def node(self, level: int, index: int) -> bytes:
        """The root of the leaves from `index << level` on, `1 << level` of them."""
        ...


class CompactRange:
    """The full subtrees that a tree of `size` leaves is made of, largest first: enough to grow it and to know its root."""

    def __init__(self, size: int = 0, hashes: tuple[bytes, ...] = ()) -> None:
        if size < 0 or len(hashes) != size.bit_count() or any(len(one) != HASH_BYTES for one in hashes):
            raise ValueError(f"{len(hashes)} hashes are not the full subtrees of {size} leaves")
        self.size = size
        self._hashes = list(hashes)

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The subtrees' roots, largest first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf by its hash; returns the roots of the subtrees that it completed, by level, the leaf first."""
        completed, size = [leaf], self.size
        while size & 1:
            leaf = node_hash(self._hashes.pop(), leaf)
            completed.append(leaf)
            size >>= 1
        self._hashes.append(leaf)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = node_hash(left, root)
        return root


class MemoryNodes:
    """Every full subtree of a growing tree, in memory: 64 bytes a leaf."""

    def __init__(self) -> None:
        self._levels: list[bytearray] = []
        self.range = CompactRange()

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        for level, completed in enumerate(self.range.append(leaf)):
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += completed

    def node(self, level: int, index: int) -> bytes:
        """As `Nodes`.

        Raises:
            IndexError: the tree does not have that subtree yet.
        """
        found = bytes(self._levels[level][index * HASH_BYTES : (index + 1) * HASH_BYTES])
        if len(found) != HASH_BYTES:
            raise IndexError(f"there is no full subtree {index} at level {level}")
        return found
