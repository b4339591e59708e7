"""The approval path over a real server: proposals, votes, verdicts, and what is on record of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from approvals.applying.steps import Application
from schemas import names, subjects
from schemas.approvals import Receipt, decode_proposal
from tests.contract.approvals.approvals_bench import STYLE, Approvals
from tests.harness.fleet import bench, until
from tests.unit.approvals.fleet_repository import AGENT_YAML, Desk, plain


async def in_state(running: Approvals, receipt: Receipt, state: str) -> None:
    """Wait until the service shows the proposal in `state`."""

    async def look() -> bool:
        return await running.state(receipt.proposal) == state

    await until(look, timeout_s=40)


def approval(receipt: Receipt, reason: str = "looks right") -> str:
    """What a reviewer types to approve."""
    return f"{receipt.proposal} {receipt.digest} {reason}"


async def test_a_proposal_is_listed_shown_and_approved(approvals: Approvals) -> None:
    """The whole way of a reviewer with nothing of ours installed, by the commands that the answers print."""
    receipt = await approvals.propose()
    assert receipt.problem == ""
    listed = await approvals.type("list")
    assert listed.startswith("OK 1 proposal\n")
    assert receipt.proposal in listed
    shown = await approvals.type("show", receipt.proposal)
    assert shown.startswith(f"OK {receipt.proposal} is open\n")
    assert "-    Style: friendly\n+    Style: formal\n" in shown
    verb, _, body = shown.splitlines()[-1].removeprefix("nats req approvals.").partition(" ")
    answered = await approvals.type(verb, body.strip("'"))
    assert answered.startswith(f"OK you approved {receipt.proposal}\n")
    assert "the proposal is approved" in answered
    assert await approvals.state(receipt.proposal) == "approved"
    assert (await approvals.type("list", "all")).count(receipt.proposal) == 2
    assert "reviewer: approve your reason" in await approvals.type("history", receipt.proposal)


async def test_an_approval_wakes_the_applier(approvals: Approvals) -> None:
    """The applier's user gets `approvals.apply.<id>` once for a proposal to check, and again for an approval."""
    woken: list[str] = []
    applier = await approvals.bench.connect(names.APPLIER, names.OWN_CREDENTIAL)

    def on_wake(message: Any) -> None:
        woken.append(message.subject)

    await applier.subscribe(subjects.Apply.pattern(), on_wake)
    await applier.flush()

    async def arrived() -> bool:
        return bool(woken)

    receipt = await approvals.propose()
    await until(arrived)  # to check it, which is nothing that anybody decided
    woken.clear()
    await approvals.type("approve", approval(receipt))

    await until(arrived)
    assert set(woken) == {str(subjects.Apply(receipt.proposal))}


async def test_a_rejection_is_final_and_changes_nothing(approvals: Approvals) -> None:
    """After a veto no approval counts, and the agent's folder in force is the old one."""
    before = approvals.git.tree_of_agent("greeter")
    receipt = await approvals.propose()
    assert (await approvals.type("reject", f"{receipt.proposal} too formal")).startswith("OK you rejected")
    refused = await approvals.type("approve", approval(receipt))
    assert refused.startswith("ERR the proposal is rejected")
    assert await approvals.state(receipt.proposal) == "rejected"
    assert approvals.git.tree_of_agent("greeter") == before
    assert await approvals.type("list") == "OK 0 proposals\nNothing waits for approval.\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{id} " + "0" * 64 + " yes", "ERR the digest is not this proposal's"),
        ("{id}", "ERR approving needs the full digest"),
        ("{id} yes please", "ERR approving needs the full digest"),
        ("{id} {short}", "ERR approving needs the full digest"),
        ("p-aaaaaaaa {digest}", "ERR there is no proposal p-aaaaaaaa"),
        ("", "ERR type: approvals.approve"),
        ("{digest} {id}", "ERR type: approvals.approve"),
    ],
)
async def test_a_vote_that_is_not_exact_does_not_count(approvals: Approvals, body: str, said: str) -> None:
    """It is answered with a reason and a hint, audited with the reviewer's name, and changes nothing."""
    receipt = await approvals.propose()
    typed = body.format(id=receipt.proposal, digest=receipt.digest, short=receipt.digest[:-1])
    answered = await approvals.type("approve", typed)
    assert answered.replace("\n    ", " ").startswith(said)
    assert "\ntry " in answered
    shown = await approvals.ask_json("show", receipt.proposal)
    assert (shown["state"], shown["votes"]) == ("open", [])
    (event,) = await approvals.events("proposal.vote_refused")
    assert (event.data.actor, event.data.action, event.data.outcome) == ("reviewer", "approve", "denied")
    assert event.data.reason


async def test_pressing_again_is_answered_with_what_is_recorded(approvals: Approvals) -> None:
    """The same command twice is one vote; the second answer says so, also after the verdict."""
    receipt = await approvals.propose()
    first = await approvals.type("approve", approval(receipt))
    again = await approvals.type("approve", approval(receipt))
    assert "(already recorded)" not in first
    assert again.startswith(f"OK you approved {receipt.proposal} (already recorded)\n")
    assert len((await approvals.ask_json("show", receipt.proposal))["votes"]) == 1
    assert len(await approvals.events("proposal.voted")) == 1


async def test_a_vote_counts_that_was_cast_while_the_service_was_down(approvals: Approvals) -> None:
    """The server recorded it; the service finds it at its next start, and says so when asked again."""
    receipt = await approvals.propose()
    await approvals.stop()
    await approvals.vote_unheard("approve", approval(receipt))
    await approvals.start()
    assert await approvals.state(receipt.proposal) == "approved"
    assert "(already recorded)" in await approvals.type("approve", approval(receipt))
    (event,) = await approvals.events("proposal.decided")
    assert event.data.action == "approved"


async def test_a_proposal_counts_that_was_made_while_the_service_was_down(approvals: Approvals) -> None:
    """The same holds for proposals: nothing has to be sent again."""
    data = approvals.proposal()
    await approvals.stop()
    greeter = await approvals.bench.attacker("greeter", names.OWN_CREDENTIAL)
    await greeter.client.publish("approvals.propose.greeter", data)
    await greeter.client.flush()
    await approvals.start()
    (listed,) = await approvals.ask_json("list")
    assert listed["digest"] == decode_proposal(data)[1]
    assert listed["state"] == "open"


async def test_a_restart_keeps_every_verdict_and_tells_nothing_twice(approvals: Approvals) -> None:
    """State is a fold over the record: a new process shows the same, and the trail has each event once."""
    rejected = await approvals.propose()
    await approvals.type("reject", rejected.proposal)
    approved = await approvals.propose()
    await approvals.type("approve", approval(approved))
    opened = await approvals.propose()
    before = await approvals.ask_json("list", "all")
    await approvals.stop()
    await approvals.start()
    assert await approvals.ask_json("list", "all") == before
    states = {case["id"]: case["state"] for case in before}
    expected = {rejected.proposal: "rejected", approved.proposal: "approved", opened.proposal: "open"}
    assert states == expected
    counts = {kind: len(await approvals.events(f"proposal.{kind}")) for kind in ("made", "voted", "decided")}
    assert counts == {"made": 3, "voted": 2, "decided": 2}


async def test_the_trail_has_the_names_that_the_server_enforced(approvals: Approvals) -> None:
    """Made by the agent, voted by the reviewer, decided at that vote: each with the full digest."""
    receipt = await approvals.propose()
    await approvals.type("show", receipt.proposal)
    await approvals.type("approve", approval(receipt, "by order of ben"))
    found = {kind: await approvals.events(f"proposal.{kind}") for kind in ("made", "shown", "voted", "decided")}
    assert {kind: [event.data.actor for event in events] for kind, events in found.items()} == {
        "made": ["greeter"], "shown": ["reviewer"], "voted": ["reviewer"], "decided": ["approvals"],
    }  # fmt: skip
    assert {event.data.metadata["digest"] for events in found.values() for event in events} == {receipt.digest}
    assert await approvals.events("audit.withheld") == []
    assert {event.data.resource for events in found.values() for event in events} == {f"greeter/{receipt.proposal}"}
    (decided,) = found["decided"]
    assert (decided.data.action, decided.data.metadata["verdict"]) == ("approved", 1)


async def test_a_proposal_with_a_problem_is_refused_and_audited(approvals: Approvals) -> None:
    """The proposer's receipt says why, a reviewer cannot approve it, and the trail has the refusal."""
    about, _ = decode_proposal(approvals.proposal())
    receipt = await approvals.propose(msgspec.json.encode(msgspec.structs.replace(about, kind="config")))
    assert receipt.problem == "this is a change of kind prompt, not config"
    assert (await approvals.type("approve", approval(receipt))).startswith("ERR this proposal cannot be applied")
    (event,) = await approvals.events("proposal.refused")
    assert (event.data.actor, event.data.outcome, event.data.reason) == ("greeter", "denied", receipt.problem)


def lying(about: Any, **changes: Any) -> bytes:
    """A proposal that says something else than it is."""
    return msgspec.json.encode(msgspec.structs.replace(about, **changes))


async def test_no_proposal_stops_the_service(approvals: Approvals) -> None:
    """Whatever an agent sends gets a receipt with a problem, now and after a restart, and the next one is reviewed."""
    about, _ = decode_proposal(approvals.proposal())
    evil = "\x1b[2J\u202e"
    undated = Desk(approvals.git).propose({"agent.yaml": plain(AGENT_YAML.replace(b"1.0.0", b"2024-13-45"))})
    sent = [
        b"", b"{", b"\xff", b"[" * 100_000, b'{"agent":"\xff"}', lying(about, files=()), lying(about, agent=evil),
        lying(about, diff=evil), lying(about, base=""), lying(about, tree="--help"), msgspec.json.encode(undated),
    ]  # fmt: skip
    receipts = [await approvals.propose(data) for data in sent]
    assert [receipt for receipt in receipts if not receipt.problem] == []
    await approvals.stop()
    await approvals.start()
    receipt = await approvals.propose()
    assert receipt.problem == ""
    for answer in (await approvals.type("list", "all"), await approvals.type("show", receipts[7].proposal)):
        assert answer.startswith("OK ")
        assert not {"\x1b", "\u202e"}.intersection(answer)
    assert receipt.proposal in {case["id"] for case in await approvals.ask_json("list", "all")}


async def test_a_proposal_from_before_its_time_has_expired(approvals: Approvals) -> None:
    """A time that no clock can show is no trouble: the proposal cannot be approved, and can still be read."""
    about, _ = decode_proposal(approvals.proposal())
    receipt = await approvals.propose(lying(about, expires_at_ns=-(10**30)))
    assert "expired" in await approvals.type("approve", approval(receipt))
    (shown,) = await approvals.ask_json("list", "all")
    assert shown["expires"] == shown["proposed"]


async def test_answers_are_json_for_those_who_ask(approvals: Approvals) -> None:
    """With `Accept: application/json` every answer is one JSON value that holds all of the proposal."""
    data = approvals.proposal()
    receipt = await approvals.propose(data)
    assert [case["id"] for case in await approvals.ask_json("list")] == [receipt.proposal]
    shown = await approvals.ask_json("show", receipt.proposal)
    assert msgspec.convert(shown["proposal"], type(decode_proposal(data)[0])) == decode_proposal(data)[0]
    assert (shown["digest"], shown["quorum"], shown["approvals"]) == (receipt.digest, 1, 0)
    assert set(await approvals.ask_json("approve", receipt.proposal)) == {"error", "try"}
    voted = await approvals.ask_json("approve", approval(receipt))
    assert (voted["state"], voted["votes"][0]["reviewer"]) == ("approved", "reviewer")
    assert (await approvals.ask_json("history", receipt.proposal))["state"] == "approved"
    assert set(await approvals.ask_json("show", "p-aaaaaaaa")) == {"error", "try"}


@pytest.mark.parametrize("verb", ["show", "history"])
async def test_reading_needs_an_id_that_exists(approvals: Approvals, verb: str) -> None:
    """The answer names what is missing and what to type."""
    assert (await approvals.type(verb)).startswith(f"ERR approvals.{verb} needs the id")
    unknown = await approvals.type(verb, "p-aaaaaaaa")
    assert unknown.startswith("ERR there is no proposal p-aaaaaaaa")
    assert unknown.endswith("try approvals.list ''\n")


@pytest.mark.parametrize("credential", [names.BUS_CREDENTIAL, names.OWN_CREDENTIAL])
async def test_no_key_of_an_agent_reaches_a_vote(approvals: Approvals, credential: str) -> None:
    """The server refuses an agent's keys the reviewers' subjects, under both of their names."""
    receipt = await approvals.propose()
    greeter = await approvals.bench.attacker("greeter", credential)
    for subject in ("approvals.approve", "approvals.review.reviewer.approve"):
        await greeter.refused(lambda subject=subject: greeter.client.publish(subject, approval(receipt).encode()))  # type: ignore[misc]
    assert await approvals.state(receipt.proposal) == "open"


async def test_an_agent_without_the_right_cannot_propose(approvals: Approvals) -> None:
    """`may_propose: false` is kept by the server: nobody answers, nothing is recorded."""
    textstats = await approvals.bench.attacker("textstats", names.OWN_CREDENTIAL)
    await textstats.client.publish("approvals.propose.textstats", approvals.proposal())
    await textstats.client.flush()
    await textstats.refused(lambda: textstats.client.publish("approvals.propose.greeter", approvals.proposal()))
    assert await approvals.ask_json("list", "all") == []


async def test_a_revocation_before_the_verdict_takes_the_approval_back(tmp_path: Path) -> None:
    """With a quorum of two: approve, revoke, and the other's approval is one of two; the revocation is final."""
    async with bench(tmp_path, _two_reviewers) as running:
        approvals = Approvals(running)
        _require_two(approvals)
        await approvals.start()
        receipt = await approvals.propose()
        await approvals.type("approve", approval(receipt))
        assert (await approvals.type("revoke", receipt.proposal)).startswith("OK you revoked your vote")
        assert "1 of 2 approvals" in await approvals.type("approve", approval(receipt), who="second")
        assert "that is final" in await approvals.type("approve", approval(receipt, "after all"))
        assert await approvals.state(receipt.proposal) == "open"
        await approvals.stop()


async def test_a_quorum_of_two_needs_two_people(tmp_path: Path) -> None:
    """One reviewer who approves again with other words is one; the second reviewer decides."""
    async with bench(tmp_path, _two_reviewers) as running:
        approvals = Approvals(running)
        _require_two(approvals)
        await approvals.start()
        receipt = await approvals.propose()
        for reason in ("once", "twice", "thrice"):
            answered = await approvals.type("approve", approval(receipt, reason))
            assert "1 of 2 approvals; the proposal is open" in answered
        answered = await approvals.type("approve", approval(receipt), who="second")
        assert "2 of 2 approvals; the proposal is approved" in answered
        decided = await approvals.events("proposal.decided")
        assert [event.data.metadata["approvals"] for event in decided] == [2]
        await approvals.stop()


def _two_reviewers(document: dict[str, Any]) -> None:
    document["reviewers"]["second"] = {"groups": ["staff"]}


def _require_two(approvals: Approvals) -> None:
    """Put a policy in force under which a prompt needs two people."""
    _other_policy(approvals, b"quorum: 1", b"quorum: 2")


def _other_policy(approvals: Approvals, old: bytes, new: bytes) -> None:
    """Change the policy on the branch, as an operator does by hand."""
    git = approvals.git
    policy = git.file("main", "policy.yaml")
    assert policy is not None
    assert old in policy
    entries = git.run("ls-tree", "main").decode()
    blob = git.line("hash-object", "-w", "--stdin", stdin=policy.replace(old, new))
    known = next(line.split()[2] for line in entries.splitlines() if line.endswith("\tpolicy.yaml"))
    tree = git.line("mktree", stdin=entries.replace(known, blob).encode())
    git.run("update-ref", "refs/heads/main", git.commit(tree, "other", "test", parent=git.line("rev-parse", "main")))


async def test_a_vote_that_a_change_of_policy_overtook_is_refused(approvals: Approvals) -> None:
    """Who might have voted when it was proposed, and not by the rules on record since: told why, and nothing counts."""
    receipt = await approvals.propose()
    assert approvals.service is not None
    (allowed,) = approvals.service.ledger.find(receipt.proposal).panels
    assert "reviewer" in allowed.people
    _other_policy(approvals, b"groups: [staff]", b"groups: [owners]")
    applier = await approvals.applier()
    await applier.start()  # it puts on record what is in force

    async def on_record() -> bool:
        assert approvals.service is not None
        await approvals.service.catch_up()
        return approvals.service.ledger.are_rules_on_record

    await until(on_record)
    answered = (await approvals.type("approve", approval(receipt))).replace("\n    ", " ")
    assert answered.startswith("ERR policy 1: rule 1, ")
    assert "lets only reviewers of owners vote" in answered
    (event,) = await approvals.events("proposal.vote_refused")
    assert (event.data.actor, event.data.outcome) == ("reviewer", "denied")
    await approvals.stop()
    await approvals.start()
    shown = await approvals.ask_json("show", receipt.proposal)
    assert (shown["state"], shown["votes"]) == ("open", [])
    await applier.drain(5)


async def test_an_application_that_fails_unexpectedly_ends_the_applier(
    approvals: Approvals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not begun again and again in a process in which something is wrong; the next process begins it again."""
    begun: list[str] = []

    async def broken(application: Application) -> str:
        begun.append(application.case.id)
        raise TypeError("a defect")

    monkeypatch.setattr(Application, "run", broken)
    told: asyncio.Queue[str] = asyncio.Queue()
    applier = await approvals.applier()
    await applier.start(told.put_nowait)
    receipt = await approvals.propose()
    await approvals.type("approve", approval(receipt))
    assert await asyncio.wait_for(told.get(), 40) == f"applying {receipt.proposal} ended: TypeError"
    await applier.drain(5)
    assert begun == [receipt.proposal]
    assert told.empty()


async def test_the_applier_derives_the_verdict_itself(approvals: Approvals) -> None:
    """A wake-up for what nobody approved does nothing; after the approval it acts, and here has to go back."""
    applier = await approvals.applier()
    await applier.start()
    before = approvals.git.tree_of_agent("greeter")
    receipt = await approvals.propose()
    service = await approvals.bench.attacker(names.APPROVALS, names.OWN_CREDENTIAL)
    await service.client.publish(str(subjects.Apply(receipt.proposal)), receipt.digest.encode())
    await service.client.flush()
    refused = await approvals.propose(lying(decode_proposal(approvals.proposal(STYLE))[0], kind="code"))
    assert refused.problem
    assert await approvals.state(receipt.proposal) == "open"
    await approvals.type("approve", approval(receipt))
    await in_state(approvals, receipt, "rolled_back")
    assert approvals.git.tree_of_agent("greeter") == before
    assert "no process of greeter, slot 0, runs here" in await approvals.type("history", receipt.proposal)
    await applier.drain(5)
