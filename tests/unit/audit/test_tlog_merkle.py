"""The Merkle tree: the published vectors, every proof of every small tree, and no proof that was changed."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.merkle import EMPTY_ROOT, CompactRange, MemoryNodes, leaf_hash
from bus.audit.tlog.proofs import (
    consistency_proof,
    inclusion_proof,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.harness.tlog_verifier import tree_hash

# Certificate Transparency's reference leaves and roots, by tree size from 0 (transparency-dev/merkle, testonly).
LEAVES = [
    bytes.fromhex(one)
    for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION_0_OF_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
CONSISTENCY_6_TO_8 = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]
CONSISTENCY_2_TO_5 = [
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
]
SMALL = 20
OTHER = sha256(b"another").digest()


def grown(leaves: list[bytes]) -> MemoryNodes:
    """The tree of these leaves."""
    nodes = MemoryNodes()
    for leaf in leaves:
        nodes.append(leaf_hash(leaf))
    return nodes


DATA = [bytes([number]) * (number % 5) for number in range(130)]
TREE = grown(DATA)


def hexes(hashes: list[bytes]) -> list[str]:
    """For comparing with vectors."""
    return [one.hex() for one in hashes]


def refused_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    """It must not verify."""
    with pytest.raises(NotVerified):
        verify_inclusion(leaf, index, size, proof, root)


def refused_consistency(old: int, new: int, proof: list[bytes], old_root: bytes, new_root: bytes) -> None:
    """It must not verify."""
    with pytest.raises(NotVerified):
        verify_consistency(old, new, proof, old_root, new_root)


def mutations(proof: list[bytes]) -> list[list[bytes]]:
    """Every way to change one thing in a proof: each hash, one missing, one more, two exchanged."""
    found = [[*proof[:at], OTHER, *proof[at + 1 :]] for at in range(len(proof))]
    found += [[*proof[:at], *proof[at + 1 :]] for at in range(len(proof))]
    found += [[*proof[:at], OTHER, *proof[at:]] for at in range(len(proof) + 1)]
    swapped = [[*proof[:at], proof[at + 1], proof[at], *proof[at + 2 :]] for at in range(len(proof) - 1)]
    return found + [one for one in swapped if one != proof] + [[one[:-1] for one in proof] if proof else [b""]]


def test_the_published_roots_and_proofs() -> None:
    """Ours are those of Certificate Transparency, byte for byte."""
    nodes = grown(LEAVES)
    assert [root_of(nodes, size).hex() for size in range(9)] == list(ROOTS)
    assert hexes(inclusion_proof(nodes, 0, 8)) == INCLUSION_0_OF_8
    assert hexes(consistency_proof(nodes, 6, 8)) == CONSISTENCY_6_TO_8
    assert hexes(consistency_proof(nodes, 2, 5)) == CONSISTENCY_2_TO_5


def test_a_compact_range_has_the_root_of_the_whole_tree() -> None:
    """Growing leaf by leaf, also from a saved state, comes to the root that the definition gives."""
    for size in range(70):
        saved = CompactRange(size, tuple(grown(DATA[:size]).range.hashes))
        assert saved.root() == tree_hash(DATA[:size]) == root_of(TREE, size)
        saved.append(leaf_hash(DATA[size]))
        assert saved.root() == tree_hash(DATA[: size + 1])
    with pytest.raises(ValueError, match="full subtrees"):
        CompactRange(3, (OTHER,))


def test_every_inclusion_proof_verifies_and_no_changed_one_does() -> None:
    """In every small tree, every leaf; a wrong leaf, index, size, root or proof is refused."""
    for size in range(1, SMALL):
        root = root_of(TREE, size)
        for index in range(size):
            leaf, proof = leaf_hash(DATA[index]), inclusion_proof(TREE, index, size)
            verify_inclusion(leaf, index, size, proof, root)
            refused_inclusion(OTHER, index, size, proof, root)
            refused_inclusion(leaf, index, size, proof, OTHER)
            for wrong in {*range(-1, size + 2)} - {index}:
                refused_inclusion(leaf, wrong, size, proof, root)
            for changed in mutations(proof):
                refused_inclusion(leaf, index, size, changed, root)


def test_a_leaf_and_a_node_are_not_taken_for_each_other() -> None:
    """The data of an inner node is no leaf, although its bytes hash to something below the root."""
    left, right = leaf_hash(DATA[0]), leaf_hash(DATA[1])
    refused_inclusion(leaf_hash(left + right), 0, 1, [], root_of(TREE, 2))


def test_consistency_between_all_pairs_and_no_changed_proof() -> None:
    """Of every two small trees; wrong sizes, roots and proofs are refused, and so is another history."""
    forged = grown([b"forged", *DATA[1:SMALL]])
    for new in range(SMALL):
        new_root = root_of(TREE, new)
        for old in range(new + 1):
            proof, old_root = consistency_proof(TREE, old, new), root_of(TREE, old)
            verify_consistency(old, new, proof, old_root, new_root)
            refused_consistency(old, new, proof, OTHER, new_root)
            if old:
                refused_consistency(old, new, proof, old_root, OTHER)
                refused_consistency(old, new, consistency_proof(forged, old, new), old_root, root_of(forged, new))
            for changed in mutations(proof):
                refused_consistency(old, new, changed, old_root, new_root)


def test_sizes_that_cannot_be_are_refused() -> None:
    """A tree does not shrink, and there is no leaf beyond its end, whatever is asked for."""
    refused_consistency(5, 4, [], root_of(TREE, 5), root_of(TREE, 4))
    refused_consistency(-1, 4, [], EMPTY_ROOT, root_of(TREE, 4))
    for index, size in ((4, 4), (-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="not among"):
            inclusion_proof(TREE, index, size)
    with pytest.raises(ValueError, match="cannot begin"):
        consistency_proof(TREE, 3, 2)
    with pytest.raises(IndexError):
        root_of(TREE, len(DATA) + 1)


@given(st.integers(1, len(DATA)), st.data())
def test_proofs_hold_for_their_place_alone(size: int, data: st.DataObject) -> None:
    """A proof for one leaf, tree or pair of trees is no proof for another."""
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(TREE, index, size)
    verify_inclusion(leaf_hash(DATA[index]), index, size, proof, root_of(TREE, size))
    if other != index:
        refused_inclusion(leaf_hash(DATA[index]), other, size, proof, root_of(TREE, size))
    old = data.draw(st.integers(1, size))
    verify_consistency(old, size, consistency_proof(TREE, old, size), root_of(TREE, old), root_of(TREE, size))
    if old < size:
        refused_consistency(
            old, size - 1, consistency_proof(TREE, old, size), root_of(TREE, old), root_of(TREE, size - 1)
        )
