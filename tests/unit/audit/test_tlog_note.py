"""Signed notes, checkpoints, cosignatures, policies and proof files: the published ones are read, changed ones refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.tlog.checkpoint import Checkpoint, open_checkpoint
from bus.audit.tlog.errors import Malformed, NotVerified
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.merkle import MemoryNodes
from bus.audit.tlog.note import COSIGNATURE, ED25519, Key, Note, cosign, cosigned_message, parse_signatures, sign
from bus.audit.tlog.policy import Policy
from bus.audit.tlog.proof_file import ProofFile
from bus.audit.tlog.proofs import inclusion_proof
from tests.harness import tlog_verifier

# golang.org/x/mod/sumdb/note: the note of its own tests.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
NEUMANN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NEUMANN_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# transparency-dev/witness: a log's checkpoint in its tests.
MONKEYS = "monkeys+db4d9f7e+AULaJMvTtDLHPUcUrjdDad9vDlh/PTfC2VV60JUtCfWT"
MONKEYS_AT_8 = (
    "monkeys\n8\nV8K9aklZ4EPB+RMOk1/8VsJUdFZR77GDtZUQq84vSbo=\n\n"
    "— monkeys 202ffoUEboiQYpHzICeaFmoy3RNviHTpAxYrq/eO4QQVQMvu9UebKBMX2MJC76NLthZaKsnKbCA8GxrjePZhvDCH7Ag=\n"
).encode()
# C2SP tlog-cosignature: its example, whose cosignature is of 1679315147.
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
SOFA_TIME_S = 1679315147

LOG, A, B = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3))
LOG_KEY = Key("fleet/audit", ED25519, LOG.public_key().public_bytes_raw())
A_KEY = Key("fleet/a", COSIGNATURE, A.public_key().public_bytes_raw())
B_KEY = Key("fleet/b", COSIGNATURE, B.public_key().public_bytes_raw())
POLICY = f"log {LOG_KEY}\nwitness a {A_KEY}\nwitness b {B_KEY}\ngroup both all a b\nquorum both\n"
LEAVES = [
    Leaf(number + 1, b"2026-01-01T00:00:00Z", b"audit.agent.a.0.task", b"", b"event %d" % number) for number in range(7)
]


def checkpoint_of(leaves: list[Leaf]) -> Checkpoint:
    """The tree of these leaves."""
    return Checkpoint(LOG_KEY.name, len(leaves), tlog_verifier.tree_hash([leaf.data() for leaf in leaves]))


def published(leaves: list[Leaf]) -> Note:
    """A checkpoint with everybody's signature."""
    text = checkpoint_of(leaves).text()
    return Note(
        text, (sign(text, LOG_KEY.name, LOG), cosign(text, A_KEY.name, A, 100), cosign(text, B_KEY.name, B, 101))
    )


def proof_of(index: int, leaves: list[Leaf]) -> ProofFile:
    """That leaf `index` is in the log."""
    nodes = MemoryNodes()
    for leaf in leaves:
        nodes.append(leaf.hash())
    path = tuple(inclusion_proof(nodes, index, len(leaves)))
    return ProofFile(index, path, bytes(published(leaves)), leaves[index].data())


def verify_with_its_leaf(data: bytes, policy: Policy) -> None:
    """Verify a proof file whose extra data is the leaf."""
    read = ProofFile.parse(data)
    read.verify(Leaf.parse(read.extra).hash(), policy)


def with_one_character_changed(data: bytes) -> Iterator[bytes]:
    """Every byte of it replaced by another once."""
    for at, byte in enumerate(data):
        yield data[:at] + bytes([byte ^ 1]) + data[at + 1 :]


def test_the_published_note_is_read_and_made() -> None:
    """A note of the reference implementation is believed; the same key makes the same bytes."""
    whole = (NEUMANN_TEXT + "\n" + NEUMANN_LINE).encode()
    key = Key.parse(NEUMANN)
    assert str(key) == NEUMANN
    assert Note.parse(whole).verified([key]) == {key: 0}
    private = Ed25519PrivateKey.from_private_bytes(NEUMANN_SEED)
    assert bytes(Note(NEUMANN_TEXT, (sign(NEUMANN_TEXT, "PeterNeumann", private),))) == whole


def test_no_changed_note_is_believed() -> None:
    """Whatever character changes, the note is malformed, its signature false, or it is signed by nobody known."""
    key = Key.parse(NEUMANN)
    for changed in with_one_character_changed((NEUMANN_TEXT + "\n" + NEUMANN_LINE).encode()):
        try:
            assert key not in Note.parse(changed).verified([key])
        except NotVerified:
            continue


def test_no_changed_key_is_read() -> None:
    """A verifier key has its own digest in it: no part of one, and no changed one, is a key."""
    for changed in with_one_character_changed(NEUMANN.encode()):
        with pytest.raises(Malformed):
            Key.parse(changed.decode())
    for end in range(len(NEUMANN)):
        with pytest.raises(Malformed):
            Key.parse(NEUMANN[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"text\n", b"text\n\n", b"text\n\nline\n", b"\n\n" + NEUMANN_LINE.encode(),
        NEUMANN_TEXT.encode() + NEUMANN_LINE.encode(), (NEUMANN_TEXT + "\n" + NEUMANN_LINE).encode()[:-1],
        (NEUMANN_TEXT + "\t\n" + "\n" + NEUMANN_LINE).encode(), b"\xff\n\n" + NEUMANN_LINE.encode(),
        (NEUMANN_TEXT + "\n" + NEUMANN_LINE.replace("PeterNeumann", "Peter+Neumann")).encode(),
        (NEUMANN_TEXT + "\n" + NEUMANN_LINE.replace("PeterNeumann", "Peter\u00a0Neumann")).encode(),
        (NEUMANN_TEXT + "\n" + "— PeterNeumann x08gow==\n").encode(),
        (NEUMANN_TEXT + "\n" + NEUMANN_LINE * 65).encode(), b"x" * 65537,
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(data: bytes) -> None:
    """Nothing else than text, empty line and signature lines is read as a note."""
    with pytest.raises(Malformed):
        Note.parse(data)


def test_a_false_signature_of_a_known_key_spoils_the_note() -> None:
    """It is not enough that another signature holds."""
    text = checkpoint_of(LEAVES).text()
    other = sign("another\n", LOG_KEY.name, LOG)
    with pytest.raises(NotVerified, match="not over this text"):
        Note(text, (other, cosign(text, A_KEY.name, A, 1))).verified([LOG_KEY, A_KEY])


def test_published_checkpoints_and_cosignatures_are_read() -> None:
    """A checkpoint of the reference witness's tests is believed; the specification's example has its time."""
    checkpoint, _ = open_checkpoint(MONKEYS_AT_8, Key.parse(MONKEYS))
    assert (checkpoint.origin, checkpoint.size) == ("monkeys", 8)
    note = Note.parse(SOFA)
    assert bytes(note) == SOFA
    assert Checkpoint.parse(note.text).text() == note.text
    assert Checkpoint.parse(note.text).size == 20852163
    assert int.from_bytes(note.signatures[1].blob[:8]) == SOFA_TIME_S
    assert cosigned_message(note.text, SOFA_TIME_S).decode() == f"cosignature/v1\ntime {SOFA_TIME_S}\n{note.text}"


@pytest.mark.parametrize(
    "text",
    [
        "o\n1\n", "\n1\n{}\n", "o\n01\n{}\n", "o\n-1\n{}\n", "o\n1 \n{}\n", "o\n+1\n{}\n", "o\n1\n{}", "o\n1\n{}\nmore\n",
        "o\n1\nAAAA\n", "o\n\u0661\n{}\n", "o\n99999999999999999999\n{}\n", "o\n1\n\n{}\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Origin, plain size, root of 32 bytes, and no lines besides."""
    with pytest.raises(Malformed):
        Checkpoint.parse(text.replace("{}", base64.b64encode(bytes(32)).decode()))


def test_a_checkpoint_is_believed_from_its_own_log_alone() -> None:
    """Another origin, a cosignature in place of the log's own, and another key are refused."""
    note = published(LEAVES)
    for key in (Key("fleet/other", ED25519, LOG_KEY.public), Key(LOG_KEY.name, ED25519, A_KEY.public)):
        with pytest.raises(NotVerified):
            open_checkpoint(bytes(note), key)
    with pytest.raises(NotVerified, match="not signed by fleet/audit"):
        open_checkpoint(bytes(Note(note.text, note.signatures[1:])), LOG_KEY)


def test_a_cosignature_is_for_its_time_and_text() -> None:
    """A cosignature whose time or text is another is false; one without the time is none."""
    text = checkpoint_of(LEAVES).text()
    signature = cosign(text, A_KEY.name, A, 100)
    assert A_KEY.verify(text, signature) == 100
    later = signature._replace(blob=(101).to_bytes(8) + signature.blob[8:])
    for wrong in (later, signature._replace(blob=signature.blob[8:]), sign(text, A_KEY.name, A)):
        with pytest.raises(NotVerified):
            A_KEY.verify(text, wrong)
    with pytest.raises(NotVerified):
        A_KEY.verify(checkpoint_of(LEAVES[:3]).text(), signature)
    assert parse_signatures(signature.line()) == (signature,)


def test_a_policy_demands_its_quorum() -> None:
    """All, any and so many of groups; `none` demands nobody; a policy survives being written and read."""
    note = published(LEAVES)
    alone = Note(note.text, note.signatures[:2])
    assert Policy.parse(POLICY).require_quorum(note) == {"a": 100, "b": 101}
    with pytest.raises(NotVerified, match="cosigned by a"):
        Policy.parse(POLICY).require_quorum(alone)
    for relaxed in (
        ("both all", "both any"),
        ("both all", "both 1"),
        ("quorum both", "quorum a"),
        ("quorum both", "quorum none"),
    ):
        policy = Policy.parse(POLICY.replace(*relaxed))
        assert policy.require_quorum(alone) == {"a": 100}
        assert Policy.parse(str(policy)) == policy
    nested = POLICY.replace("quorum both", "group outer 1 both\nquorum outer")
    with pytest.raises(NotVerified):
        Policy.parse(nested).require_quorum(alone)
    assert Policy.parse("# none\n \t\n" + POLICY.replace(" ", " \t ")) == Policy.parse(POLICY)


@pytest.mark.parametrize(
    "change",
    [
        ("quorum both\n", ""), ("quorum both", "quorum both\nquorum both"), ("quorum both", "quorum c"),
        ("all a b", "all a c"), ("all a b", "3 a b"), ("all a b", "0 a b"), ("all a b", "all"), ("all a b", "all a a"),
        ("group both", "group a"), ("group both", "group none"), ("witness b", "witness a"), ("log ", "lag "),
        (str(B_KEY), str(A_KEY)), (str(B_KEY), str(LOG_KEY)), (f"log {LOG_KEY}", f"log {A_KEY}"), ("quorum", "\x00quorum"),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(change: tuple[str, str]) -> None:
    """Names that are unknown or taken, thresholds that cannot be, keys of the wrong kind, no quorum."""
    with pytest.raises(Malformed):
        Policy.parse(POLICY.replace(*change))


def test_every_proof_file_is_verified_by_us_and_by_a_second_verifier() -> None:
    """Each leaf of each small log; what is written is read again, byte for byte."""
    policy = Policy.parse(POLICY)
    for size in range(1, len(LEAVES) + 1):
        for index in range(size):
            data = bytes(proof_of(index, LEAVES[:size]))
            read = ProofFile.parse(data)
            assert bytes(read) == data
            leaf = Leaf.parse(read.extra)
            assert (leaf, leaf.place) == (LEAVES[index], read.index)
            assert read.verify(leaf.hash(), policy) == {"a": 100, "b": 101}
            assert tlog_verifier.check(data, str(LOG_KEY), [str(A_KEY), str(B_KEY)]) == LEAVES[index].data()


def test_no_changed_proof_file_is_believed() -> None:
    """Whatever byte changes: the index, a hash, the entry, the size, the root, a signature, a time, the framing."""
    policy = Policy.parse(POLICY)
    for changed in with_one_character_changed(bytes(proof_of(4, LEAVES))):
        with pytest.raises(NotVerified):
            verify_with_its_leaf(changed, policy)


def test_the_specifications_proof_is_of_the_format() -> None:
    """The head of the example in C2SP tlog-proof is read: its extra data, index and five hashes."""
    head = (
        b"c2sp.org/tlog-proof@v1\nextra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\nindex 73894\n"
        b"gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\nB95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n"
        b"EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=\nRoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=\n"
        b"AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=\n\n"
    )
    read = ProofFile.parse(head + SOFA)
    assert (read.index, len(read.hashes), read.extra) == (73894, 5, b"age-v1.2.1-darwin-arm64.tar.gz")
    assert bytes(read) == head + SOFA


def test_a_leaf_is_what_the_server_says_not_what_a_producer_wrote() -> None:
    """The lines that the server adds are cut off; a producer's own lines of the same names stay in its headers."""
    added = b"Nats-Stream: AUDIT\r\nNats-Subject: audit.agent.a.0.x\r\nNats-Sequence: 7\r\nNats-Time-Stamp: 2026-01-01T00:00:00.5Z\r\n"
    more = b"Nats-Num-Pending: 1\r\nNats-Last-Sequence: 6\r\n"
    forged = b"a: b\r\nNats-Stream: AUDIT\r\nNats-Sequence: 1\r\n"
    for own in (b"", b"a: b\r\n", forged):
        for servers in (added, added + more):
            leaf = Leaf.of_answer(b"NATS/1.0\r\n" + own + servers + b"\r\n", b"payload")
            stored = b"NATS/1.0\r\n" + own + b"\r\n" if own else b""
            assert leaf == Leaf(7, b"2026-01-01T00:00:00.5Z", b"audit.agent.a.0.x", stored, b"payload")
            assert Leaf.parse(leaf.data()) == leaf
    for block in (b"", b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\n" + forged + b"\r\n", b"NATS/1.0\r\n" + added):
        with pytest.raises(Malformed):
            Leaf.of_answer(block, b"")


def test_no_two_leaves_have_the_same_data() -> None:
    """Where one field ends is part of the data: moving a byte from one field to the next makes another leaf."""
    leaf = Leaf(12, b"t", b"subject", b"headers", b"payload")
    moved = (
        leaf._replace(subject=b"subjec", headers=b"theaders"),
        leaf._replace(headers=b"headersp", payload=b"ayload"),
    )
    assert len({leaf.data(), *(one.data() for one in moved), leaf._replace(sequence=1, time=b"2t").data()}) == 4
    for wrong in (b"", leaf.data()[:-1], leaf.data() + b"\0", leaf.data()[5:], b"\0\0\0\x01x" + leaf.data()[5:]):
        with pytest.raises(Malformed):
            Leaf.parse(wrong)
