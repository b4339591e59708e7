"""A key of the seal hands over to another: each signs in its own stretch, and whoever has the old one is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.seal.check import Contradiction, SealCheck
from bus.audit.seal.policy_file import log_of
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import Malformed, NotVerified
from bus.audit.tlog.handover import Handover, hand_over, is_handover
from bus.audit.tlog.note import COSIGNATURE, ED25519, Key, Note, cosign, sign
from bus.audit.tlog.policy import NONE, Policy
from bus.credentials import Credential, create_credential
from bus.errors import NotProvisioned
from bus.provision.seal_keys import handovers_of, public_of, replace_seal_key
from tests.unit.audit.test_seal_check import ORIGIN, Trail

FIRST, SECOND, THIRD, THIEF, WITNESS, WITNESS_2 = (
    Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(11, 17)
)
NAME = "fleet/witness-a"


def _key(private: Ed25519PrivateKey, name: str = ORIGIN, kind: int = ED25519) -> Key:
    return Key(name, kind, private.public_key().public_bytes_raw())


def _policy(log: Ed25519PrivateKey, *handovers: Handover, witness: Ed25519PrivateKey = WITNESS) -> Policy:
    """As an auditor reads it."""
    made = Policy((_key(log),), {"witness-a": _key(witness, NAME, COSIGNATURE)}, {}, NONE, handovers)
    return Policy.parse(str(made))


def _passed(at: Checkpoint, old: Ed25519PrivateKey = FIRST, new: Ed25519PrivateKey = SECOND) -> Handover:
    return hand_over(at, ORIGIN, ED25519, old, new, 0)


def _cosigned(checkpoint: Checkpoint, log: Ed25519PrivateKey, witness: Ed25519PrivateKey) -> bytes:
    text = checkpoint.text()
    return bytes(Note(text, (sign(text, ORIGIN, log), cosign(text, NAME, witness, 1))))


class Passed(Trail):
    """Three events sealed with the first key, the hand-over, two more events sealed with the second."""

    def __init__(
        self, *, is_told: bool = True, old: Ed25519PrivateKey = FIRST, new: Ed25519PrivateKey = SECOND
    ) -> None:
        super().__init__()
        self.grow(3)
        self.last = self.seal(private=old)
        self.handover = _passed(self.last, old, new)
        if is_told:
            self.add(self.handover.note, "audit.seal")
        self.grow(2)
        self.seal(private=new)
        self.grow(1)


def _found(policy: Policy, trail: Trail, *known: Checkpoint) -> tuple[list[Contradiction], str]:
    check = SealCheck(policy, known)

    def look() -> Iterator[Contradiction]:
        for record in trail.records:
            yield from check.add(record)
        yield from check.finish(len(trail.records))

    return list(look()), check.doubt


def test_what_was_handed_over_in_order_agrees() -> None:
    """Once, and twice in a row; a policy says in its file from which key to which, and other readers see the last one."""
    trail = Passed()
    policy = _policy(SECOND, trail.handover)
    assert _found(policy, trail) == ([], "")
    again = _passed(trail.checkpoint(), SECOND, THIRD)
    trail.add(again.note, "audit.seal")
    trail.grow(1)
    trail.seal(private=THIRD)
    policy = _policy(THIRD, trail.handover, again)
    assert _found(policy, trail) == ([], "")
    plain = [line for line in str(policy).splitlines() if not line.startswith("#")]
    assert [line for line in plain if line.startswith("log ")] == [f"log {_key(THIRD)}"]


def _old_key_again(trail: Passed) -> None:
    trail.seal(private=FIRST)


def _old_key_at_its_size(trail: Passed) -> None:
    trail.records.pop()
    trail.seal(trail.last, FIRST)


def _to_a_thief(trail: Passed) -> None:
    trail.add(_passed(trail.checkpoint(), FIRST, THIEF).note, "audit.seal")


def _of_the_new_key_to_a_thief_alone(trail: Passed) -> None:
    handover = _passed(trail.checkpoint(), SECOND, THIEF)
    trail.add(handover.note.replace(str(_key(SECOND)).encode(), str(_key(THIRD)).encode()), "audit.seal")


def _twice(trail: Passed) -> None:
    trail.add(trail.handover.note, "audit.seal")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_old_key_again, "signed a checkpoint of 9, where"),
        (_old_key_at_its_size, "somebody else has it"),
        (_to_a_thief, "was not to hand over to"),
        (_of_the_new_key_to_a_thief_alone, "is not over this text"),
        (_twice, "was handed over so before"),
    ],
)
def test_whoever_has_an_old_key_is_found_out(change: Callable[[Passed], None], said: str) -> None:
    """After the hand-over it signs for nothing: no checkpoint of any size, no other hand-over. Each is named by its place."""
    trail = Passed()
    policy = _policy(SECOND, trail.handover)
    change(trail)
    (one, *_), _ = _found(policy, trail)
    assert said in one.problem, one
    assert one.sequence == len(trail.records)


def test_another_history_before_the_hand_over_is_found() -> None:
    """The thief of an old key builds all anew up to there, and cannot: both keys signed what the log held."""
    trail = Passed()
    policy = _policy(SECOND, trail.handover)
    forged = Trail()
    forged.grow(2)
    forged.add(b"forged")
    forged.seal(private=FIRST)
    forged.add(trail.handover.note, "audit.seal")
    (one, *_), _ = _found(policy, forged)
    assert (one.sequence, one.last) == (1, 3)
    forged.records = forged.records[:2]
    (one, *_), _ = _found(policy, forged)
    assert "3 messages were sealed, but the stream ends with sequence 2" in one.problem


def test_a_new_key_without_a_hand_over_is_found() -> None:
    """The policy names it, and the stream does not say that the old key agreed; or the policy does not name it either."""
    trail = Passed(is_told=False)
    found, _ = _found(_policy(SECOND, trail.handover), trail)
    assert ["no hand-over of" in one.problem for one in found] == [True]
    found, _ = _found(_policy(FIRST), trail)
    assert ["is not signed by" in one.problem for one in found] == [True]


def test_an_auditor_with_an_old_policy_is_told_what_to_do() -> None:
    """Nothing is taken for tampering, and nothing that the new key signed is believed; an old key that goes on is found."""
    trail = Passed()
    found, doubt = _found(_policy(FIRST), trail)
    assert (found, str(_key(SECOND)) in doubt, "public/seal.policy" in doubt) == ([], True, True)
    trail.seal(private=FIRST)
    (one, *_), _ = _found(_policy(FIRST), trail)
    assert "somebody else has it" in one.problem


def test_a_hand_over_that_is_not_published_yet_is_said() -> None:
    """The sealer does not run, or the end was cut: that cannot be told apart, so neither is claimed."""
    trail = Trail()
    trail.grow(3)
    handover = _passed(trail.seal(private=FIRST))
    found, doubt = _found(_policy(SECOND, handover), trail)
    assert (found, "is published when the sealer runs again" in doubt) == ([], True)


def test_witnesses_hand_over_likewise() -> None:
    """Cosignatures of the old key after the hand-over, of the new one without it, and of each in its stretch."""
    trail = Trail()
    trail.grow(3)
    first = trail.checkpoint()
    trail.add(_cosigned(first, FIRST, WITNESS), "audit.seal")
    handover = hand_over(first, NAME, COSIGNATURE, WITNESS, WITNESS_2, 7)
    policy = _policy(FIRST, handover, witness=WITNESS_2)
    untold = Trail()
    untold.records = list(trail.records)
    trail.add(handover.note, "audit.seal")
    for one in (trail, untold):
        one.add(_cosigned(one.checkpoint(), FIRST, WITNESS_2), "audit.seal")
    assert _found(policy, trail) == ([], "")
    assert ["no hand-over of" in one.problem for one in _found(policy, untold)[0]] == [True]
    trail.add(_cosigned(trail.checkpoint(), FIRST, WITNESS), "audit.seal")
    assert ["where" in one.problem for one in _found(policy, trail)[0]] == [True]


def test_an_old_checkpoint_is_believed_for_its_size_alone() -> None:
    """One that an auditor kept: of the old key up to the hand-over, of the new one after it."""
    trail = Passed()
    log = log_of(_policy(SECOND, trail.handover))
    assert log.open(trail.records[3].payload)[0] == trail.last
    larger = trail.checkpoint()
    text = larger.text()
    log.open(bytes(Note(text, (sign(text, ORIGIN, SECOND),))))
    with pytest.raises(NotVerified, match="signed a checkpoint"):
        log.open(bytes(Note(text, (sign(text, ORIGIN, FIRST),))))


def test_a_policy_whose_hand_overs_lead_elsewhere_is_refused() -> None:
    """To another key than it names, or not in order; and a line that is none."""
    trail = Passed()
    with pytest.raises(Malformed, match="was handed over to"):
        _policy(THIRD, trail.handover)
    for line in ("#handover AAAA", "#handover"):
        with pytest.raises(Malformed):
            Policy.parse(f"log {_key(FIRST)}\nquorum none\n{line}\n")
    assert not is_handover(trail.records[3].payload)


def test_an_interrupted_rotation_leaves_the_old_key(tmp_path: Path) -> None:
    """Before the new key is in place its hand-over counts for nothing, and the next rotation replaces it."""
    path = tmp_path / "seal.nk"
    old = create_credential(path).signing_key()
    at, key = Checkpoint(ORIGIN, 3, bytes(32)), Key(ORIGIN, ED25519, public_of(path))
    kept = path.read_bytes()
    made = replace_seal_key(path, key, at, 1)
    assert handovers_of(path) == (made,)
    assert (made.old, made.new.public) == (key, public_of(path))
    fresh = path.read_bytes()
    path.write_bytes(kept)  # as if it ended right before
    assert handovers_of(path) == ()
    again = replace_seal_key(path, key, at, 1)
    assert handovers_of(path) == (again,) != (made,)
    assert Credential(path).signing_key().private_bytes_raw() != old.private_bytes_raw()
    path.write_bytes(fresh)
    with pytest.raises(NotProvisioned, match="does not lead to the key"):
        handovers_of(path)
