"""A second verifier of proof files, written from the specifications with hashlib and cryptography alone.

It shares nothing with the product, so that a mistake in ours does not hide itself. Paths are computed by recursion
as RFC 6962 defines them, not by the loops of RFC 9162 that the product uses.
"""

from __future__ import annotations

import base64
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1 over leaf data."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return sha256(b"\1" + tree_hash(leaves[:middle]) + tree_hash(leaves[middle:])).digest()


def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion path leads to, the definition of §2.1.1 read backwards; `path` is used up."""
    if size == 1:
        return leaf
    middle = 1
    while middle * 2 < size:
        middle *= 2
    sibling = path.pop()
    if index < middle:
        return sha256(b"\1" + root_from(leaf, index, middle, path) + sibling).digest()
    return sha256(b"\1" + sibling + root_from(leaf, index - middle, size - middle, path)).digest()


def check(proof: bytes, log_vkey: str, witness_vkeys: list[str]) -> bytes:
    """Verify a tlog-proof whose extra data is the leaf, cosigned by all witnesses; returns that leaf's data."""
    head, checkpoint = proof.split(b"\n\n", 1)
    first, extra, index, *hashes = head.decode().split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    leaf = base64.b64decode(extra.removeprefix("extra "))
    text, _, signatures = checkpoint.decode().rpartition("\n\n")
    origin, size, root = text.split("\n")
    path = [base64.b64decode(one) for one in hashes]
    start = sha256(b"\0" + leaf).digest()
    assert root_from(start, int(index.removeprefix("index ")), int(size), path) == base64.b64decode(root)
    assert not path
    lines = [line.removeprefix("\u2014 ").split(" ") for line in signatures.splitlines()]
    blobs = {(name, base64.b64decode(blob)[:4]): base64.b64decode(blob)[4:] for name, blob in lines}
    assert log_vkey.split("+", maxsplit=1)[0] == origin
    for vkey in (log_vkey, *witness_vkeys):
        _check_signature(vkey, f"{text}\n", blobs)
    return leaf


def _check_signature(vkey: str, text: str, blobs: dict[tuple[str, bytes], bytes]) -> None:
    name, key_id, encoded = vkey.split("+", 2)
    material = base64.b64decode(encoded)
    assert sha256(name.encode() + b"\n" + material).digest()[:4].hex() == key_id
    blob = blobs[name, bytes.fromhex(key_id)]
    message = text
    if material[0] == 4:
        message = f"cosignature/v1\ntime {int.from_bytes(blob[:8])}\n{text}"
        blob = blob[8:]
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(blob, message.encode())
