"""Proofs about a log: that a leaf is in a tree, and that a tree is the beginning of a later one.

Source: RFC 6962 §2.1.1, §2.1.2 (making them); RFC 9162 §2.1.3.2, §2.1.4.2 (verifying them without the tree).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.merkle import EMPTY_ROOT, HASH_BYTES, Nodes, node_hash


def root_of(nodes: Nodes, size: int) -> bytes:
    """The root of the first `size` leaves."""
    return _subtree(nodes, 0, size) if size else EMPTY_ROOT


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves, the leaf's sibling first.

    Raises:
        ValueError: there is no such leaf in that tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not among the first {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(nodes, middle, end))
            end = middle
        else:
            path.append(_subtree(nodes, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """The hashes that show that the first `old` leaves begin the first `new`; empty where there is nothing to show.

    Raises:
        ValueError: `old` is more than `new`, or negative.
    """
    if not 0 <= old <= new:
        raise ValueError(f"{old} leaves cannot begin {new}")
    if old in {0, new}:
        return []
    path: list[bytes] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_subtree(nodes, middle, end))
            end = middle
        else:
            path.append(_subtree(nodes, start, middle))
            start = middle
    if start:
        path.append(_subtree(nodes, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf with this hash is leaf `index` of the tree of `size` leaves with this `root`.

    Raises:
        NotVerified: the proof does not show it.
    """
    if not 0 <= index < size:
        raise NotVerified(f"leaf {index} is not among the first {size}")
    _require_hashes(leaf, root, *proof)
    found = leaf
    for is_left, sibling in _walk(index, size - 1, proof, "inclusion"):
        found = node_hash(sibling, found) if is_left else node_hash(found, sibling)
    if found != root:
        raise NotVerified("the inclusion proof does not lead to the root")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    Raises:
        NotVerified: the proof does not show it.
    """
    _require_hashes(old_root, new_root, *proof)
    if not 0 <= old <= new:
        raise NotVerified(f"a tree of {old} leaves cannot begin one of {new}")
    if old in {0, new}:
        _verify_trivial(old, new, proof, old_root, new_root)
        return
    if not proof:
        raise NotVerified("the consistency proof is too short")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    rest = proof if place else [old_root, *proof]
    found_old = found_new = rest[0]
    for is_left, sibling in _walk(place, last, rest[1:], "consistency"):
        if is_left:
            found_old = node_hash(sibling, found_old)
        found_new = node_hash(sibling, found_new) if is_left else node_hash(found_new, sibling)
    if (found_old, found_new) != (old_root, new_root):
        raise NotVerified("the consistency proof does not lead to both roots")


def _walk(place: int, last: int, proof: Sequence[bytes], what: str) -> Iterator[tuple[bool, bytes]]:
    """The way up from `place`, where `last` is the last place of its level: each sibling, and whether it is left of it."""
    for sibling in proof:
        if last == 0:
            raise NotVerified(f"the {what} proof is too long")
        is_left = bool(place & 1) or place == last
        while is_left and place and not place & 1:
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
        yield is_left, sibling
    if last != 0:
        raise NotVerified(f"the {what} proof is too short")


def _verify_trivial(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    if proof:
        raise NotVerified("the consistency proof is too long")
    if old == new and old_root != new_root:
        raise NotVerified(f"two different roots of {new} leaves")
    if old == 0 and old_root != EMPTY_ROOT:
        raise NotVerified("the root of the empty tree is another")


def _split(count: int) -> int:
    """The largest power of two below `count`: how many leaves are left of the middle."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtree(nodes: Nodes, start: int, end: int) -> bytes:
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return nodes.node(level, start >> level)
    middle = start + _split(count)
    return node_hash(_subtree(nodes, start, middle), _subtree(nodes, middle, end))


def _require_hashes(*hashes: bytes) -> None:
    if any(len(one) != HASH_BYTES for one in hashes):
        raise NotVerified("a hash is not of 32 bytes")
