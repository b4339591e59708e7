"""Attacks in several moves: small changes that add up, rules that lower themselves, headers, floods, tests that attack."""

from __future__ import annotations

import time

import msgspec
import yaml

from schemas.approvals import BrokenGlass, Receipt
from tests.adversary.field import MOLE, Case, Field
from tests.adversary.votes import _close
from tests.unit.approvals.fleet_repository import plain

_TEST = "import unittest\n\n\nclass Test(unittest.TestCase):\n    def test_it(self):\n{}\n"


async def _adds_up(field: Field) -> None:
    """Notes of up to five lines need one approval; the third one of the day needs two."""
    receipts = []
    for number in range(3):
        text = "".join(f"{number} {line}\n" for line in range(2))
        receipts.append(await field.desk.propose(field.forge({"notes.md": plain(text.encode())}), MOLE))
    quorums = [(await field.desk.standing(receipt.proposal)).quorum for receipt in receipts]
    assert quorums == [1, 1, 2], quorums
    for receipt in receipts:
        await _close(field, receipt)


async def _flood(field: Field) -> None:
    """One agent may not fill the reviewers' screen."""
    receipts = [await field.desk.propose(field.honest(f"Style: {number}"), MOLE) for number in range(9)]
    assert [bool(receipt.problem) for receipt in receipts] == [False] * 8 + [True], receipts
    assert "may wait at once" in receipts[-1].problem
    for receipt in receipts:
        await _close(field, receipt)


async def _lowers_its_own_quorum(field: Field) -> None:
    """A policy that asks for less is decided by the one that asks for more, and by nobody alone."""
    text = field.desk.git.file("main", "policy.yaml")
    assert text is not None
    policy = yaml.safe_load(text)
    policy["rules"] = [{"paths": ["**"], "quorum": 1}]
    changed = {"policy.yaml": yaml.safe_dump(policy).encode()}
    receipt = await field.desk.propose(field.desk.fleet_proposal(changed, agent="", kind="policy"))
    assert not receipt.problem, receipt
    await field.desk.vote(receipt, "reviewer")
    standing = await field.desk.standing(receipt.proposal)
    assert (standing.state, standing.quorum) == ("open", 2), standing
    await field.desk.vote(receipt, "second", verb="reject")


async def _fires_a_reviewer(field: Field) -> None:
    """Adding an accomplice to the reviewers does not make the accomplice's vote count on it."""
    text = field.desk.git.file("main", "fleet.yaml")
    assert text is not None
    fleet = yaml.safe_load(text)
    fleet["reviewers"] = {"accomplice": {"groups": ["staff"]}, "reviewer": {"groups": ["staff"]}}
    fleet["same_person"] = []
    changed = {"fleet.yaml": yaml.safe_dump(fleet, sort_keys=False).encode()}
    receipt = await field.desk.propose(field.desk.fleet_proposal(changed, agent="", kind="policy"))
    await field.desk.vote(receipt, "reviewer")
    assert (await field.desk.standing(receipt.proposal)).state == "open"
    await field.desk.vote(receipt, "second", verb="reject")


async def _asks_for_more_agents(field: Field) -> None:
    """What needs keys is not brought by a proposal."""
    text = field.desk.git.file("main", "fleet.yaml")
    assert text is not None
    fleet = yaml.safe_load(text)
    fleet["agents"]["mallory"] = {}
    changed = {"fleet.yaml": yaml.safe_dump(fleet, sort_keys=False).encode()}
    data = field.desk.fleet_proposal(changed, agent="", kind="policy")
    await field.refuses(data, "is changed by provisioning", by="ops")


async def _asks_for_more_room(field: Field) -> None:
    """Streams are made with their size, by provisioning: a quota that grew alone would let nobody store more."""
    text = field.desk.git.file("main", "fleet.yaml")
    assert text is not None
    fleet = yaml.safe_load(text)
    fleet["agents"]["greeter"] = {**(fleet["agents"]["greeter"] or {}), "storage_mb": 65_536}
    changed = {"fleet.yaml": yaml.safe_dump(fleet, sort_keys=False).encode()}
    data = field.desk.fleet_proposal(changed, agent="greeter", kind="authority")
    await field.refuses(data, "storage_mb of greeter is changed by provisioning", by="ops")


async def _tests_that(field: Field, *lines: str) -> None:
    """A test in the proposal that succeeds only where the sandbox does not hold."""
    test = _TEST.format("\n".join(f"        {line}" for line in lines)).encode()
    receipt = await field.desk.propose(field.forge({"tests/test_it.py": plain(test)}), MOLE)
    assert not receipt.problem, receipt
    ended = await field.desk.ended(receipt.proposal, 90)
    assert ended.state == "refused", ended


async def _test_reaches_the_server(field: Field) -> None:
    port = int(field.fleet.processes()["nats-server"]["status"].rsplit(":", 1)[1])
    await _tests_that(field, "import socket", f"socket.create_connection(('127.0.0.1', {port}), 2)")


async def _test_reads_a_key(field: Field) -> None:
    key = field.fleet.home.credentials("applier") / "own.nk"
    await _tests_that(field, f"open({str(key)!r}).read()")


async def _test_writes_a_release(field: Field) -> None:
    await _tests_that(field, f"open({str(field.fleet.home.root / 'live' / 'x')!r}, 'w').write('x')")


async def _rolls_up(field: Field) -> None:
    """A header that would wipe earlier records is refused by the stream, and what came before is still there."""
    kept = await field.open_one()
    client = await field.desk.client(MOLE)
    await client.publish(f"approvals.propose.{MOLE}", field.honest("Style: rude"), headers={"Nats-Rollup": "all"})
    await client.flush(timeout=5)
    assert (await field.desk.standing(kept.proposal)).state == "open"
    await _close(field, kept)


async def _expects_a_sequence(field: Field) -> None:
    """A proposal that the record does not take is none, though it was heard."""
    client = await field.desk.client(MOLE)
    data = field.honest("Style: rude")
    headers = {"Nats-Expected-Last-Sequence": "999999"}
    answer = await client.request(f"approvals.propose.{MOLE}", data, timeout=10, headers=headers)
    receipt = msgspec.json.decode(answer.data, type=Receipt)
    assert receipt.problem, receipt
    assert "there is no proposal" in await field.desk.say("ops", "approvals.ask.ops.show", receipt.proposal)


async def _suppresses_by_id(field: Field) -> None:
    """A message id that somebody used does not keep another's proposal off the record."""
    client = await field.desk.client(MOLE)
    await client.publish(f"approvals.propose.{MOLE}", b"x", headers={"Nats-Msg-Id": "guessed"})
    await client.flush(timeout=5)
    receipt = await field.open_one()
    assert (await field.desk.standing(receipt.proposal)).state == "open"
    await _close(field, receipt)


async def _replays_anothers_bytes(field: Field) -> None:
    """An operator who sends an agent's bytes again does not become their proposer."""
    data = field.honest()
    receipt = await field.desk.propose(data, MOLE)
    again = await field.desk.propose(data, "ops")
    assert again.problem, again
    assert (await field.desk.standing(receipt.proposal)).proposer == MOLE
    await _close(field, receipt)


async def _takes_back_anothers(field: Field) -> None:
    receipt = await field.open_one()
    answer = await field.desk.say("ops", "approvals.withdraw.ops", receipt.proposal)
    assert "who alone may withdraw" in answer, answer
    await _close(field, receipt)


async def _reads_anothers(field: Field) -> None:
    """An agent is told nothing of what others propose."""
    receipt = await field.open_one()
    answer = await field.desk.say("textstats", "approvals.ask.textstats.show", receipt.proposal)
    assert "there is no proposal" in answer, answer
    assert await field.desk.say("textstats", "approvals.ask.textstats.list", "all") == "[]"
    await _close(field, receipt)


async def _halts_a_stranger(field: Field) -> None:
    now_ns = time.time_ns()
    glass = BrokenGlass(agent="nobody", reason="x", made_at_ns=now_ns, expires_at_ns=now_ns + 10**9, nonce=str(now_ns))
    answer = await field.desk.say("ops", "approvals.glass.ops.halt", msgspec.json.encode(glass))
    assert "there is no agent nobody" in answer, answer


async def _halts_for_ever(field: Field) -> None:
    """Broken glass is bounded by the policy, however long it was asked for, and a veto ends it at once."""
    receipt = await field.desk.break_glass("halt", "textstats", lasts_s=10**6)
    standing = await field.desk.in_state(receipt.proposal, "in_force")
    assert standing.expires_at_ns - standing.proposed_at_ns <= 4 * 3600 * 10**9
    await field.desk.vote(receipt, "reviewer", verb="reject")
    assert (await field.desk.ended(receipt.proposal)).state == "overturned"


CASES = (
    Case("ten small changes that add up", _adds_up, "proposal.made"),
    Case("more proposals than anybody can read", _flood, "proposal.refused"),
    Case("a policy that lowers its own quorum", _lowers_its_own_quorum, "proposal.decided"),
    Case("a reviewer who is to be replaced", _fires_a_reviewer, "proposal.decided"),
    Case("an agent that nobody provisioned", _asks_for_more_agents, "proposal.refused"),
    Case("more room in the server for an agent", _asks_for_more_room, "proposal.refused"),
    Case("a test that asks the server", _test_reaches_the_server, "apply.refused"),
    Case("a test that reads a key", _test_reads_a_key, "apply.refused"),
    Case("a test that writes a release", _test_writes_a_release, "apply.refused"),
    Case("a header that wipes the record", _rolls_up, "proposal.made"),
    Case("a header that keeps it off the record", _expects_a_sequence),
    Case("a message id that was guessed", _suppresses_by_id, "proposal.refused"),
    Case("somebody else's bytes", _replays_anothers_bytes, "proposal.refused"),
    Case("taking back what another proposed", _takes_back_anothers, "proposal.refused"),
    Case("reading what another proposed", _reads_anothers, "proposal.made"),
    Case("halting who is not there", _halts_a_stranger, "proposal.refused"),
    Case("halting for ever", _halts_for_ever, "glass.broken"),
)
