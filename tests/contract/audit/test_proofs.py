"""What an auditor can show: that the stream is what was sealed, that a message is on it, that two checkpoints agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.audit.read import Reader
from bus.audit.seal.check import SealCheck, find_checkpoints, read_checkpoint
from bus.audit.seal.nodes import RememberedLeaves
from bus.audit.seal.policy_file import load_policy
from bus.audit.seal.prove import check_proof, prove_consistency, prove_message, read_log
from bus.audit.seal.sealed_log import NODES
from bus.audit.seal.sealer import CHECKPOINT, LOG
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.policy import Policy
from bus.audit.trust import load_trust
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from schemas.audit import decode_event
from schemas.errors import InvalidDocument
from tests.harness import tlog_verifier
from tests.harness.fleet import Bench, bench
from tests.harness.sealing import restore, sealing, witness_of, write


async def sealed(fleet: Bench, *rounds: int) -> Policy:
    """Events on the stream of which each round is sealed and witnessed; returns whom to believe."""
    for name in fleet.fleet.witnesses:
        await witness_of(fleet, name)
    audit = await fleet.audit("greeter")
    written = 0
    async with sealing(fleet) as running:
        for events in rounds:
            async with running.sealer._turn:  # so that it sees a round when all of it is there
                await write(audit, events)
            written += events
            written = (await running.until_sealed(written)).sequence
    return load_policy(fleet.home.seal_policy)


async def verdict(fleet: Bench, *kept: Path, with_state: bool = True) -> Report:
    """What the auditor's command comes to; `kept` are checkpoints in files."""
    policy = load_policy(fleet.home.seal_policy)
    state = fleet.home.root / "state"
    known = [*(find_checkpoints(state, policy) if with_state else ()), *(read_checkpoint(one, policy) for one in kept)]
    heads = find_heads(state) if with_state else []
    remembers = RememberedLeaves(state / "sealer" / LOG / NODES) if with_state else None
    auditor = await fleet.connect("auditor", "own.nk")
    return await verify_stream(
        Reader(auditor), load_trust(fleet.home.trust), heads, seals=SealCheck(policy, known, remembers)
    )


async def test_a_sealed_trail_is_sound(fleet_bench: Bench) -> None:
    """Every checkpoint on the stream and on this host is checked, and said to be."""
    await sealed(fleet_bench, 4, 3)
    report = await verdict(fleet_bench)
    assert (report.verdict, report.findings) == ("sound", ())
    assert (report.checkpoints, report.events, report.last_sequence) == (2, 7, 9)
    assert (report.sealed, report.witnesses) == (8, ("witness-a", "witness-b"))


async def test_a_changed_trail_is_found_by_its_checkpoints(fleet_bench: Bench, tmp_path: Path) -> None:
    """An administrator who makes the stream anew is found by the host's files, or by one checkpoint that was kept."""
    await sealed(fleet_bench, 4)
    kept = tmp_path / "kept.checkpoint"
    kept.write_bytes((fleet_bench.home.state("sealer") / CHECKPOINT).read_bytes())
    await restore(fleet_bench, 5)
    for report, said in (
        (await verdict(fleet_bench), "it is not the message that was sealed, by the checkpoint of 4"),
        (await verdict(fleet_bench, kept, with_state=False), "of stream sequences 1 to 4 at least one is not"),
    ):
        assert (report.verdict, report.first_bad) == ("tampered", 1)
        assert any(said in finding.problem for finding in report.findings)


@pytest.mark.parametrize("changed", [1, 3, 6, 9])
async def test_the_changed_message_is_named(fleet_bench: Bench, changed: int) -> None:
    """With the sealer's own hashes, the one message; without, that it lies between two checkpoints; and nothing else."""
    policy = await sealed(fleet_bench, 4, 4)
    auditor = await fleet_bench.connect("auditor", "own.nk")
    records = [record async for record in Reader(auditor).records()]
    place = changed - 1
    records[place] = records[place]._replace(payload=records[place].payload + b" ")
    folder = fleet_bench.home.state("sealer") / LOG / NODES
    known = find_checkpoints(fleet_bench.home.root / "state", policy)
    named, between = SealCheck(policy, known, RememberedLeaves(folder)), SealCheck(policy, known)
    found = [
        [one for record in records for one in check.add(record)] + [*check.finish(10)] for check in (named, between)
    ]
    assert [one.sequence for one in found[0]] == [changed]
    assert [one.sequence for one in found[1]] == [1 if changed <= 4 else 5]


async def test_hashes_that_lead_to_no_checkpoint_name_nothing(fleet_bench: Bench) -> None:
    """Whoever changes the stream and the sealer's hashes cannot point at another message than the checkpoints do."""
    policy = await sealed(fleet_bench, 4)
    auditor = await fleet_bench.connect("auditor", "own.nk")
    records = [record async for record in Reader(auditor).records()]
    records[1] = records[1]._replace(payload=b"{}")
    file = fleet_bench.home.state("sealer") / LOG / NODES / "level-00"
    data = file.read_bytes()
    file.write_bytes(data[:96] + bytes(32) + data[128:])
    check = SealCheck(policy, (), RememberedLeaves(file.parent))
    found = [one for record in records for one in check.add(record)]
    assert [(one.sequence, "of stream sequences 1 to 4" in one.problem) for one in found] == [(1, True)]


async def test_a_cut_trail_is_found_by_a_checkpoint(fleet_bench: Bench, tmp_path: Path) -> None:
    """A stream that ends before what was sealed, or is empty, is not sound for who has the checkpoint."""
    await sealed(fleet_bench, 4)
    kept = tmp_path / "kept.checkpoint"
    kept.write_bytes((fleet_bench.home.state("sealer") / CHECKPOINT).read_bytes())
    for keep in (2, 0):
        await restore(fleet_bench, keep)
        report = await verdict(fleet_bench, kept, with_state=False)
        assert report.verdict == "tampered"
        assert any(
            f"4 messages were sealed, but the stream ends with sequence {keep}" in one.problem
            for one in report.findings
        )


async def test_every_message_can_be_proven_offline(fleet_bench: Bench) -> None:
    """Each message under the last checkpoint; the proof has the event, and a second verifier agrees."""
    policy = await sealed(fleet_bench, 5)
    reader = Reader(await fleet_bench.connect("auditor", "own.nk"))
    vkeys = [str(key) for key in policy.witnesses.values()]
    for sequence in range(1, 6):
        data = bytes(prove_message(await read_log(reader, policy, sequence), policy, sequence))
        leaf, checkpoint, witnesses = check_proof(data, policy)
        assert (leaf.sequence, checkpoint.size, set(witnesses)) == (sequence, 5, {"witness-a", "witness-b"})
        assert decode_event(leaf.payload).sequence == sequence
        assert tlog_verifier.check(data, str(policy.logs[0]), vkeys) == leaf.data()
        with pytest.raises(NotVerified):
            check_proof(data.replace(b"index %d" % (sequence - 1), b"index %d" % sequence), policy)


async def test_what_is_not_sealed_cannot_be_proven(fleet_bench: Bench) -> None:
    """A message after the last checkpoint, one that does not exist, one without witnesses: said so, with the reason."""
    policy = await sealed(fleet_bench, 2)
    reader = Reader(await fleet_bench.connect("auditor", "own.nk"))
    for sequence, reason in ((3, "no checkpoint covers it yet"), (4, "has no sequence 4; it ends with 3")):
        with pytest.raises(NotVerified, match=reason):
            prove_message(await read_log(reader, policy, sequence), policy, sequence)
    text = (fleet_bench.home.seal_policy).read_text()
    stranger = Policy.parse(text.replace("witness witness-b", "#").replace("2 witness-a witness-b", "1 witness-a"))
    assert check_proof(bytes(prove_message(await read_log(reader, stranger, 1), stranger, 1)), stranger)[2].keys() == {
        "witness-a"
    }


async def test_two_checkpoints_of_one_history_agree(fleet_bench: Bench, tmp_path: Path) -> None:
    """Of every two on the stream the older is the beginning of the newer; of another history it is not."""
    policy = await sealed(fleet_bench, 2, 3, 4)
    reader = Reader(await fleet_bench.connect("auditor", "own.nk"))
    log = await read_log(reader, policy)
    checkpoints = [log.checkpoints[size][0] for size in sorted(log.checkpoints)]
    assert len(checkpoints) == 3
    for place, old in enumerate(checkpoints):
        for new in checkpoints[place:]:
            prove_consistency(log, old, new)
    with pytest.raises(NotVerified, match="name the older one first"):
        prove_consistency(log, checkpoints[1], checkpoints[0])
    await restore(fleet_bench, 12)
    with pytest.raises(NotVerified, match="not those of the checkpoint"):
        prove_consistency(await read_log(reader, policy), checkpoints[0], checkpoints[1])
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(InvalidDocument, match="is not a checkpoint of this fleet's trail"):
        read_checkpoint(tmp_path / "junk", policy)


async def test_a_fleet_without_witnesses_is_sealed_and_proven_by_its_sealer_alone(tmp_path: Path) -> None:
    """`witnesses: []` in the fleet file: checkpoints have one signature, and the policy demands no more."""
    async with bench(tmp_path, lambda fleet: fleet.update(witnesses=[])) as alone:
        policy = await sealed(alone, 2)
        assert (policy.quorum, dict(policy.witnesses)) == ("none", {})
        reader = Reader(await alone.connect("auditor", "own.nk"))
        assert check_proof(bytes(prove_message(await read_log(reader, policy, 1), policy, 1)), policy)[2] == {}
        assert (await verdict(alone)).verdict == "sound"
