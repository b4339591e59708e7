"""How an agent was evaluated, on record at the real approval service: shown to reviewers, on the trail, deciding nothing."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from approvals.reviewing.desk import ProposalDesk
from schemas import names
from schemas.approvals import Evaluation
from tests.contract.approvals.approvals_bench import Approvals

SUITE = "ab" * 32


def evaluation(**changes: Any) -> Evaluation:
    """Nine of ten cases passed."""
    now_ns = time.time_ns()
    first = Evaluation(
        agent="greeter", way="cases", suite=SUITE, cases=10, passed=9, made_at_ns=now_ns, nonce=str(now_ns),
        cost_usd=0.0125, summary="not passed: \x1b[2Jfarewell",
    )  # fmt: skip
    return msgspec.structs.replace(first, **changes)


async def operators_desk(approvals: Approvals) -> ProposalDesk:
    """The desk of the fleet's operator."""
    return ProposalDesk(await approvals.bench.connect("ops", names.OWN_CREDENTIAL), "ops")


async def test_reviewers_see_how_a_proposal_was_evaluated(approvals: Approvals) -> None:
    """It stands in `approvals.show`, harmless, and as JSON; the proposal stays as open as it was."""
    receipt = await approvals.propose()
    desk = await operators_desk(approvals)
    about = evaluation(proposal=receipt.proposal, digest=receipt.digest)
    assert (await desk.evaluated(about)).problem == ""
    assert (await desk.evaluated(about)).problem == ""  # the same bytes count once
    shown = await approvals.type("show", receipt.proposal)
    assert "evaluated by ops, 9 of 10 cases passed, 0.0125 USD: not passed:" in shown
    assert "\x1b" not in shown
    history = await desk.history(receipt.proposal)
    assert [(one["operator"], one["passed"], one["suite"]) for one in history["evaluations"]] == [("ops", 9, SUITE)]
    assert await approvals.state(receipt.proposal) == "open"
    assert (await desk.standing(receipt.proposal)).approvals == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"proposal": "p-aaaaaaaa", "digest": "0" * 64}, "there is no proposal"),
        ({"agent": "nobody"}, "there is no agent nobody"),
    ],
)
async def test_what_is_about_nothing_is_refused(approvals: Approvals, changes: dict[str, str], problem: str) -> None:
    """The receipt says why."""
    desk = await operators_desk(approvals)
    assert problem in (await desk.evaluated(evaluation(**changes))).problem


async def test_another_digest_or_agent_is_refused(approvals: Approvals) -> None:
    """What was evaluated is what is proposed, or it is not shown there."""
    receipt = await approvals.propose()
    desk = await operators_desk(approvals)
    for changes in ({"digest": "0" * 64}, {"digest": receipt.digest, "agent": "textstats"}):
        told = await desk.evaluated(evaluation(proposal=receipt.proposal, **changes))
        assert "names another digest or agent" in told.problem
    assert "evaluated" not in await approvals.type("show", receipt.proposal)


@pytest.mark.parametrize("changes", [{"passed": 11}, {"cases": -1}, {"digest": "0" * 64}, {"summary": "x" * 501}])
def test_an_evaluation_adds_up(changes: dict[str, Any]) -> None:
    """What cannot be is no evaluation, wherever it comes from."""
    plain = {**msgspec.to_builtins(evaluation()), **changes}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain, Evaluation)
