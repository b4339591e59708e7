"""The sealer on a real server: it seals what is there, its witnesses hold it to that, and it seals over nothing else."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from bus.audit.read import Reader
from bus.audit.seal.check import SealCheck
from bus.audit.seal.policy_file import load_policy
from bus.audit.seal.sealer import CHECKPOINT, Pace
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.note import Note
from bus.audit.tlog.proofs import verify_consistency
from bus.errors import SealContradicted
from schemas import names, subjects
from tests.harness.fleet import Bench, until
from tests.harness.sealing import NEVER, replaced_beneath, restore, sealing, witness_of, write
from tests.harness.tlog_verifier import tree_hash


async def test_a_checkpoint_says_what_the_stream_holds(fleet_bench: Bench) -> None:
    """Size and root are those of the stream's messages, computed anew; both witnesses cosigned; the file is the same."""
    for name in fleet_bench.fleet.witnesses:
        await witness_of(fleet_bench, name)
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench) as running:
        await write(audit, 5)
        first = await running.until_sealed(5)
        await write(audit, 3)
        second = await running.until_sealed(first.sequence + 3)
        policy = load_policy(fleet_bench.home.seal_policy)
        records = [record async for record in Reader(running.auditor).records()]
        data = [Leaf.of_answer(record.block, record.payload).data() for record in records]
        for checkpoint in (first, second):
            note = Note.parse(checkpoint.payload)
            origin, size, root = note.text.splitlines()
            assert origin == "agentbus/example/audit"
            assert tree_hash(data[: int(size)]) == base64.b64decode(root)
            assert set(policy.require_quorum(note)) == {"witness-a", "witness-b"}
        assert (running.folder / CHECKPOINT).read_bytes() == records[-1].payload


async def test_a_fleet_that_is_quiet_is_not_sealed_again_and_again(fleet_bench: Bench) -> None:
    """Checkpoints and the sealer's own events are no reason for checkpoints; after a long silence there is one all the same."""
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench) as running:
        await write(audit, 1)
        await running.until_sealed(1)
        await write(audit, 1)
        last = await running.until_sealed(3)
        own = await fleet_bench.connect(names.SEALER, names.OWN_CREDENTIAL)
        await own.request("audit.sys.sealer.0.process", b"{}", timeout_s=5)
        await running.until_read(last.sequence + 1)
        assert (running.sealer.unsealed, len(await running.checkpoints())) == (0, 2)
    async with sealing(fleet_bench, Pace(interval_s=3600, idle_s=0.05, poll_s=0.02)) as running:
        await running.until_sealed(5)


async def test_much_is_sealed_at_once(fleet_bench: Bench) -> None:
    """So many messages make a checkpoint, however short the time."""
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench, Pace(messages=4, interval_s=3600, poll_s=0.02)) as running:
        await write(audit, 9)
        await running.until_sealed(4)


async def test_a_witness_that_is_away_is_named_and_asked_again(fleet_bench: Bench) -> None:
    """The trail is sealed without it; when it is back it cosigns, although it missed checkpoints."""
    first = await witness_of(fleet_bench, "witness-a")
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench) as running:
        await write(audit, 2)
        await running.until_sealed(2)
        assert running.said[-1].problems == {"witness-b": "it does not run"}
        await witness_of(fleet_bench, "witness-b")
        await first.close()
        await write(audit, 2)
        await running.until_sealed(5)
        assert running.said[-1].problems == {"witness-a": "it does not run"}
        await witness_of(fleet_bench, "witness-a")
        await write(audit, 2)
        await running.until_sealed(8)
        assert running.said[-1].problems == {}


async def test_the_sealer_goes_on_after_a_restart(fleet_bench: Bench) -> None:
    """What was sealed is read and compared again, then new messages are sealed; the witnesses agree."""
    for name in fleet_bench.fleet.witnesses:
        await witness_of(fleet_bench, name)
    audit = await fleet_bench.audit("greeter")
    for before, size in ((0, 3), (4, 7)):
        async with sealing(fleet_bench) as running:
            await running.until_read(before)
            assert running.sealer.unsealed == 0
            await write(audit, 3)
            await running.until_sealed(size)
            assert running.said[-1].problems == {}


async def test_what_was_signed_but_not_published_is_in_the_next(fleet_bench: Bench) -> None:
    """A sealer that died between its disk and the stream goes on from its disk: one row, no second root for a size."""
    for name in fleet_bench.fleet.witnesses:
        await witness_of(fleet_bench, name)
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench, NEVER) as running:
        await write(audit, 3)
        await running.until_read(3)
        signed = running.log.seal()
    async with sealing(fleet_bench) as running:
        assert running.log.note == signed
        await write(audit, 1)
        checkpoint = await running.until_sealed(4)
        assert [one.sequence for one in await running.checkpoints()] == [checkpoint.sequence]
        assert running.said[-1].problems == {}
        proof = running.log.consistency(3)
        old, new = (Checkpoint.parse(note.text) for note in (signed, Note.parse(checkpoint.payload)))
        verify_consistency(old.size, new.size, proof, old.root, new.root)


async def test_a_sealer_that_ends_in_order_seals_what_is_left(fleet_bench: Bench) -> None:
    """What the others wrote as they ended is sealed too, once."""
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench, NEVER) as running:
        await write(audit, 3)
        for _ in range(2):
            await running.sealer.finish()
            assert [one.sequence for one in await running.checkpoints()] == [4]


async def test_another_history_is_not_cosigned(fleet_bench: Bench, tmp_path: Path) -> None:
    """A sealer that forgot, over a stream that was changed: both witnesses refuse, with the reason."""
    for name in fleet_bench.fleet.witnesses:
        await witness_of(fleet_bench, name)
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench) as running:
        await write(audit, 3)
        await running.until_sealed(3)
    await restore(fleet_bench, 3, b" ")
    async with sealing(fleet_bench, folder=tmp_path / "forgetful") as running:

        async def refused() -> bool:
            return bool(running.said)

        await until(refused)
    problems = running.said[-1].problems
    assert set(problems) == {"witness-a", "witness-b"}
    assert all("another root was cosigned" in one or "it does not continue" in one for one in problems.values())


@pytest.mark.parametrize("keep", [2, 3])
async def test_nothing_is_sealed_over_a_changed_stream(fleet_bench: Bench, keep: int) -> None:
    """Cut or edited while the sealer was away: it says where, and publishes nothing."""
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench) as running:
        await write(audit, 3)
        await running.until_sealed(3)
    await restore(fleet_bench, keep, b" ")
    async with sealing(fleet_bench) as running:
        with pytest.raises(SealContradicted) as found:
            await asyncio.wait_for(running.task, 30)
        assert found.value.sequence == 1, "times are part of a message: an imitation has others from the start"
        assert await running.checkpoints() == []


@pytest.mark.parametrize(
    ("keep", "said"), [(1, "ends with sequence 1, but it held 3"), (3, "sequence 3 is not the message")]
)
async def test_a_stream_that_is_changed_while_it_is_sealed_is_noticed(fleet_bench: Bench, keep: int, said: str) -> None:
    """Cut or replaced under a running sealer: it looks at what it read last again each time."""
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench, Pace(poll_s=0.02, believe_s=0.1)) as running:
        await write(audit, 3)
        await running.until_read(3)
        await replaced_beneath(running, keep)
        with pytest.raises(SealContradicted, match=said):
            await asyncio.wait_for(running.task, 30)


async def test_two_sealers_with_one_key_publish_one_row_of_checkpoints(fleet_bench: Bench, tmp_path: Path) -> None:
    """Each publish names the checkpoint before it, so sizes on the stream only grow, and the trail stays sound."""
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench) as one, sealing(fleet_bench, folder=tmp_path / "other"):
        for _ in range(4):
            await write(audit, 2)
            await one.until_sealed(one.log.size)
        sizes = [int(record.payload.split(b"\n")[1]) for record in await one.checkpoints()]
        assert sizes == sorted(set(sizes))
        seals = SealCheck(load_policy(fleet_bench.home.seal_policy))
        found = [one async for record in Reader(one.auditor).records() for one in seals.add(record)]
        # The other sealer may have published once more in between.
        assert (found, seals.checkpoints >= len(sizes)) == ([], True)


async def test_a_foreign_message_on_the_sealers_subject_stops_nothing(fleet_bench: Bench) -> None:
    """Who steers the server into writing there puts junk on the trail, and the next checkpoint covers it."""
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench) as running:
        await write(audit, 2)
        sealed = await running.until_sealed(2)
        await running.auditor.publish("$JS.API.DIRECT.GET.AUDIT", b'{"seq":1}', reply=subjects.SEAL)
        await write(audit, 2)
        await running.until_sealed(sealed.sequence + 2)


LIES: dict[str, tuple[dict[str, str], bytes]] = {
    "it has cosigned a checkpoint of 999": ({names.SERVICE_ERROR_CODE: "409"}, b"999\n"),
    "409": ({names.SERVICE_ERROR_CODE: "409", names.SERVICE_ERROR: "no"}, b"-1\n"),
    "422 it is \\x1b[31mforged": ({names.SERVICE_ERROR_CODE: "422", names.SERVICE_ERROR: "it is \x1b[31mforged"}, b""),
    "its cosignature does not hold": ({}, b"junk"),
    "its answer has no cosignature of its key": ({}, "— somebody AAAAAAAA\n".encode()),
}


@pytest.mark.parametrize("said", LIES)
async def test_a_witness_that_lies_stops_nothing(fleet_bench: Bench, said: str) -> None:
    """Whatever a witness answers, the trail is sealed, and its answer is the reason that is given."""
    headers, body = LIES[said]
    liar = await fleet_bench.attacker("witness-a", names.OWN_CREDENTIAL)

    async def lie(message: Msg) -> None:
        await liar.client.publish(message.reply, body, headers=headers or None)

    await liar.client.subscribe("seal.cosign.witness-a", cb=lie)
    await liar.client.flush()
    audit = await fleet_bench.audit("greeter")
    async with sealing(fleet_bench) as running:
        await write(audit, 2)
        await running.until_sealed(2)
        assert said in running.said[-1].problems["witness-a"]
