"""A proposer's desk against the real approval service: what an agent and an operator may do, and what they may not."""

from __future__ import annotations

import time

import pytest

from approvals.change.edits import Edit
from approvals.change.propose import build_fleet_proposal, files_in_force
from approvals.errors import ProposalNotFound
from approvals.reviewing.desk import ProposalDesk
from schemas import names
from schemas.errors import InvalidDocument, Unavailable
from tests.contract.approvals.approvals_bench import Approvals
from tests.harness.fleet import Bench


async def desk_of(approvals: Approvals, proposer: str) -> ProposalDesk:
    """The desk of an agent or an operator, with its own key."""
    return ProposalDesk(await approvals.bench.connect(proposer, names.OWN_CREDENTIAL), proposer)


async def test_a_proposal_is_handed_in_read_and_taken_back(approvals: Approvals) -> None:
    """The receipt names it; it stands as open, then as withdrawn with the reason, and leaves the list."""
    greeter = await desk_of(approvals, "greeter")
    receipt = await greeter.propose(approvals.proposal())
    assert receipt.problem == ""
    standing = await greeter.standing(receipt.proposal)
    assert (standing.state, standing.is_final, standing.proposer, standing.digest) == (
        "open", False, "greeter", receipt.digest,
    )  # fmt: skip
    assert await greeter.all() == [standing]
    assert (await greeter.history(receipt.proposal))["proposal"]["rationale"] == "to be polite"
    await greeter.withdraw(receipt.proposal, "no longer needed")
    taken = await greeter.standing(receipt.proposal)
    assert (taken.state, taken.is_final) == ("withdrawn", True)
    assert "no longer needed" in taken.note
    assert await greeter.all() == []
    assert [one.state for one in await greeter.all(everything=True)] == ["withdrawn"]


async def test_the_same_bytes_are_the_same_proposal(approvals: Approvals) -> None:
    """Whoever had no answer hands the same in again: it counts once."""
    greeter = await desk_of(approvals, "greeter")
    data = approvals.proposal()
    assert await greeter.propose(data) == await greeter.propose(data)
    assert len(await greeter.all()) == 1


async def test_what_is_not_reviewed_is_no_proposal(approvals: Approvals) -> None:
    """The receipt says why, and there is nothing to read of it."""
    greeter = await desk_of(approvals, "greeter")
    receipt = await greeter.propose(approvals.proposal(Edit("handler.py", "", "x = 1\n"), agent="textstats"))
    assert "may only propose for itself" in receipt.problem
    with pytest.raises(ProposalNotFound):
        await greeter.standing(receipt.proposal)


async def test_an_operator_proposes_for_an_agent_and_for_the_fleet(approvals: Approvals) -> None:
    """The agent reads what is proposed about it; the fleet's own files are the operators' to propose."""
    operator = await desk_of(approvals, "ops")
    about_greeter = await operator.propose(approvals.proposal())
    with files_in_force(approvals.git, "") as folder:
        change = Edit("policy.yaml", "quorum: 2", "quorum: 3")
        data = build_fleet_proposal(folder, [change], rationale="more people", now_ns=time.time_ns())
    about_fleet = await operator.propose(data)
    assert (about_greeter.problem, about_fleet.problem) == ("", "")
    assert [one.proposal for one in await operator.all()] == [about_fleet.proposal, about_greeter.proposal]
    greeter = await desk_of(approvals, "greeter")
    assert [one.proposer for one in await greeter.all()] == ["ops"]
    with pytest.raises(ProposalNotFound, match=about_fleet.proposal):
        await greeter.standing(about_fleet.proposal)
    assert (await greeter.withdraw(about_greeter.proposal)).problem
    assert (await greeter.standing(about_greeter.proposal)).state == "open"


@pytest.mark.parametrize("proposal", ["", "p-", "p-7q2fabcd x", "nonsense"])
async def test_what_is_no_id_is_not_sent(approvals: Approvals, proposal: str) -> None:
    """The form that is expected is said."""
    operator = await desk_of(approvals, "ops")
    for asked in (operator.standing, operator.history, operator.withdraw):
        with pytest.raises(InvalidDocument, match="one looks like p-7q2fabcd"):
            await asked(proposal)


async def test_a_service_that_is_away_is_said_at_once(fleet_bench: Bench) -> None:
    """Nobody waits for a time-out, whoever asks: the server knows that nobody listens, or that one may not."""
    for proposer in ("ops", "greeter", "textstats"):
        connection = await fleet_bench.connect(proposer, names.OWN_CREDENTIAL)
        began = time.monotonic()
        desk = ProposalDesk(connection, proposer)
        for asked in (desk.all(), desk.propose(b"{}"), desk.standing("p-aaaaaaaa")):
            with pytest.raises(Unavailable, match=f"the approval service does not answer {proposer}"):
                await asked
        assert time.monotonic() - began < 5
