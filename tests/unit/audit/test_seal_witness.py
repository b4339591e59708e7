"""A witness cosigns one history and never another; a sealer's log signs one root for each size."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.seal.sealed_log import STATE, SealedLog
from bus.audit.seal.witness import CONFLICT, Witness
from bus.audit.tlog.add_checkpoint import AddCheckpoint
from bus.audit.tlog.errors import Malformed
from bus.audit.tlog.handover import Lineage
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.note import COSIGNATURE, ED25519, Key, Note, parse_signatures
from bus.errors import SealContradicted
from schemas.errors import InvalidDocument

LOG, WITNESS = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
LINEAGE = Lineage(Key("fleet/audit", ED25519, LOG.public_key().public_bytes_raw()))
NAME = "fleet/witness"
NOW_S = 1_700_000_000
# C2SP tlog-witness: its example of a request.
SPECIFIED = (
    "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n"
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
).encode()


def leaves(start: int, end: int, text: str = "event") -> list[Leaf]:
    """The messages `start + 1` to `end` of a stream."""
    return [
        Leaf(at + 1, b"2026-01-01T00:00:00Z", b"audit.agent.a.0.x", b"", f"{text} {at}".encode())
        for at in range(start, end)
    ]


def grow(log: SealedLog, to: int, text: str = "event") -> Note:
    """Read on to message `to`, and seal."""
    for leaf in leaves(log.size, to, text):
        log.add(leaf)
    return log.seal()


def read_again(log: SealedLog, stream: list[Leaf]) -> None:
    """What a sealer does after its start."""
    for leaf in stream:
        log.add(leaf)


def request(log: SealedLog, note: Note, old: int) -> bytes:
    """What a sealer sends."""
    return bytes(AddCheckpoint(old, tuple(log.consistency(old)), bytes(note)))


@pytest.fixture
def log(tmp_path: Path) -> SealedLog:
    """An empty log."""
    return SealedLog(tmp_path / "log", LINEAGE, LOG)


@pytest.fixture
def witness(tmp_path: Path, log: SealedLog) -> Witness:
    """A witness that has seen nothing yet."""
    return Witness(tmp_path / "witness", NAME, WITNESS, log.log, lambda: NOW_S)


def again(witness: Witness, folder: Path, log: SealedLog) -> Witness:
    """The witness after a restart."""
    del witness
    return Witness(folder / "witness", NAME, WITNESS, log.log, lambda: NOW_S)


def test_a_history_that_goes_on_is_cosigned(tmp_path: Path, log: SealedLog, witness: Witness) -> None:
    """Checkpoint after checkpoint, also the same one twice, and after a restart."""
    key = Key(NAME, COSIGNATURE, WITNESS.public_key().public_bytes_raw())
    old = 0
    for size in (1, 2, 5, 5, 8, 13):
        note = grow(log, size)
        answer = witness.add_checkpoint(request(log, note, old))
        assert (answer.status, answer.reason) == (200, "")
        (signature,) = parse_signatures(answer.body.decode())
        assert note.signed(signature).verified([key, log.log.key]) == {key: NOW_S, log.log.key: 0}
        witness, old = again(witness, tmp_path, log), size


def test_another_history_is_refused_and_kept_as_evidence(tmp_path: Path, log: SealedLog, witness: Witness) -> None:
    """A fork, at the same size or later, signed with the log's own key: 409 or 422, no cosignature, evidence on disk."""
    witness.add_checkpoint(request(log, grow(log, 5), 0))
    for size, status in ((5, 409), (9, 422)):
        fork = SealedLog(tmp_path / f"fork-{size}", LINEAGE, LOG)  # the log's key and name over other messages
        grow(fork, 5, "forged")
        note = grow(fork, size, "forged")
        witness = again(witness, tmp_path, log)
        answer = witness.add_checkpoint(request(fork, note, 5))
        assert (answer.status, answer.body) == (status, b"5\n" if status == 409 else b"")
        assert (tmp_path / "witness" / CONFLICT).exists()
    assert witness.add_checkpoint(request(log, grow(log, 6), 5)).status == 200


def test_a_rollback_is_refused(log: SealedLog, witness: Witness) -> None:
    """An older checkpoint is not cosigned again; the answer tells the size that the witness has."""
    earlier = grow(log, 3)
    witness.add_checkpoint(request(log, earlier, 0))
    witness.add_checkpoint(request(log, grow(log, 7), 3))
    for old in (0, 3):
        answer = witness.add_checkpoint(bytes(AddCheckpoint(old, (), bytes(earlier))))
        assert (answer.status, answer.body) == (409, b"7\n")
    assert witness.add_checkpoint(bytes(AddCheckpoint(7, (), bytes(earlier)))).status == 400


def test_what_is_not_the_logs_is_refused(log: SealedLog, witness: Witness) -> None:
    """A request that is none, another key, a proof where none belongs, and a proof that was changed."""
    note = grow(log, 4)
    assert witness.add_checkpoint(b"old 0\n\nnot a checkpoint").status == 400
    foreign = Note(note.text, tuple(one._replace(key_id=b"abcd") for one in note.signatures))
    assert witness.add_checkpoint(bytes(AddCheckpoint(0, (), bytes(foreign)))).status == 403
    assert witness.add_checkpoint(bytes(AddCheckpoint(0, (bytes(32),), bytes(note)))).status == 422
    assert witness.last is None
    witness.add_checkpoint(request(log, note, 0))
    later = grow(log, 9)
    assert witness.add_checkpoint(bytes(AddCheckpoint(4, (bytes(32),), bytes(later)))).status == 422
    assert witness.add_checkpoint(request(log, later, 4)).status == 200


def test_a_witness_that_cannot_read_its_own_checkpoint_does_not_start(
    tmp_path: Path, log: SealedLog, witness: Witness
) -> None:
    """It must not begin anew by itself: then it could be shown another history."""
    witness.add_checkpoint(request(log, grow(log, 4), 0))
    (tmp_path / "witness" / "checkpoint").write_bytes(b"damaged")
    with pytest.raises(InvalidDocument, match="a witness that forgets"):
        again(witness, tmp_path, log)


def test_the_specifications_request_is_read() -> None:
    """C2SP's own example, byte for byte; what differs from the format is refused."""
    read = AddCheckpoint.parse(SPECIFIED)
    assert (read.old, len(read.proof), bytes(read)) == (20852014, 4, SPECIFIED)
    for wrong in (
        b"",
        b"old 1",
        b"new 1\n\n",
        b"old 01\n\n",
        b"old 1\nAAAA\n\n",
        b"old \xff\n\n",
        b"old 1\n" + b"A" * 44 + b"\n\n",
    ):
        with pytest.raises(Malformed):
            AddCheckpoint.parse(wrong)


def test_a_sealed_log_goes_on_after_a_restart(tmp_path: Path, log: SealedLog) -> None:
    """What was read but not sealed is read again; the proofs are those of one log."""
    note = grow(log, 11)
    for leaf in leaves(11, 14):
        log.add(leaf)
    log.close()
    log = SealedLog(tmp_path / "log", LINEAGE, LOG)
    assert (log.size, log.is_checked, log.note) == (0, False, note)
    later = grow(log, 20)
    whole = SealedLog(tmp_path / "another", LINEAGE, LOG)
    assert bytes(grow(whole, 20)) == bytes(later)
    assert log.consistency(11) == whole.consistency(11)


def test_one_size_has_one_root(log: SealedLog) -> None:
    """Without new messages the same note is given again, not a new one."""
    assert grow(log, 3) is log.seal()


@pytest.mark.parametrize("changed", [0, 4, 9])
@pytest.mark.parametrize("is_index_kept", [True, False])
def test_a_changed_message_is_found_when_the_log_is_read_again(
    tmp_path: Path, log: SealedLog, changed: int, *, is_index_kept: bool
) -> None:
    """It is named exactly where the hashes of the leaves are on disk; without them it is known that there is one."""
    grow(log, 10)
    log.close()
    if not is_index_kept:
        for file in (tmp_path / "log" / "nodes").iterdir():
            file.write_bytes(b"")
    log = SealedLog(tmp_path / "log", LINEAGE, LOG)
    forged = [*leaves(0, changed), *leaves(changed, changed + 1, "forged"), *leaves(changed + 1, 10)]
    with pytest.raises(SealContradicted) as found:
        read_again(log, forged)
    assert found.value.sequence == (changed + 1 if is_index_kept else 1)
    assert (tmp_path / "log" / STATE).exists()


def test_missing_messages_and_a_cut_end_are_found(tmp_path: Path, log: SealedLog) -> None:
    """A gap, messages in another order, a stream that ends before what was sealed."""
    grow(log, 6)
    with pytest.raises(SealContradicted, match="sequence 7 is missing"):
        log.add(leaves(7, 8)[0])
    with pytest.raises(SealContradicted, match="ends with sequence 5, but it held 6"):
        log.require_whole(5)
    log.require_whole(6)
    log.require_last(leaves(5, 6)[0])
    for other in (leaves(5, 6, "forged")[0], leaves(4, 5)[0]):
        with pytest.raises(SealContradicted, match="not the message that was read before"):
            log.require_last(other)
    log.close()
    with pytest.raises(SealContradicted, match="ends with sequence 5"):
        SealedLog(tmp_path / "log", LINEAGE, LOG).require_whole(5)


def test_a_copied_key_is_found(tmp_path: Path, log: SealedLog) -> None:
    """A checkpoint with another root, signed with the log's key, was made by somebody else; other keys are junk."""
    grow(log, 6)
    fork = SealedLog(tmp_path / "fork", LINEAGE, LOG)
    log.require_ours(bytes(grow(SealedLog(tmp_path / "same", LINEAGE, LOG), 4)))
    log.require_ours(b"junk")
    with pytest.raises(SealContradicted, match="signed with the sealer's key"):
        log.require_ours(bytes(grow(fork, 4, "forged")))


def test_a_damaged_state_is_not_sealed_over(tmp_path: Path, log: SealedLog) -> None:
    """The sealer does not begin anew by itself."""
    grow(log, 3)
    log.close()
    state = tmp_path / "log" / STATE
    state.write_bytes(state.read_bytes().replace(b"\\n3\\n", b"\\n4\\n"))
    with pytest.raises(InvalidDocument, match="not what this sealer signed last"):
        SealedLog(tmp_path / "log", LINEAGE, LOG)
