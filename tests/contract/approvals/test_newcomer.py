"""A new agent is proposed: its files are tried, approved by as many as may be needed at all, and then in the repository."""

from __future__ import annotations

import time
from pathlib import Path

from approvals.change.edits import WholeFile
from approvals.change.propose import build_proposal
from schemas.approvals import Receipt
from tests.contract.approvals.approvals_bench import Approvals
from tests.contract.approvals.test_approvals import approval, in_state
from tests.contract.approvals.test_proposal_desk import desk_of
from tests.harness.fleet import until

FILE = WholeFile("agent.yaml", b"agent: {id: scribe, description: Writes.}\nhandler: handler.py:write\n")
HANDLER = WholeFile(
    "handler.py",
    b"from agents.skill import Context, skill\n\n\n@skill(description='Writes.')\n"
    b"async def write(request: str, ctx: Context) -> str:\n    return request\n",
)


def _proposal(folder: Path, *files: WholeFile, agent: str = "scribe") -> bytes:
    folder.mkdir(exist_ok=True)
    return build_proposal(agent, folder, files, rationale="somebody has to write", now_ns=time.time_ns())


async def test_a_new_agents_files_are_approved_before_it_joins(approvals: Approvals, tmp_path: Path) -> None:
    """One approval is not enough. What is applied is in the repository alone: nothing runs, nobody has a new right."""
    ops = await desk_of(approvals, "ops")
    before = approvals.git.tree_of_fleet()
    applier = await approvals.applier()
    await applier.start()
    receipt = await ops.propose(_proposal(tmp_path / "new", FILE, HANDLER))
    assert receipt.problem == ""

    async def is_tried() -> bool:
        return "valid" in await approvals.type("show", receipt.proposal)

    await until(is_tried, timeout_s=60)
    shown = await approvals.type("show", receipt.proposal)
    assert "ops asks for a new agent, scribe; risk high" in shown
    assert "0 of 2 approvals" in shown
    assert "authority is protected, so the strictest holds" in shown.replace("\n          ", " ")
    await approvals.type("approve", approval(receipt))
    assert await approvals.state(receipt.proposal) == "open"
    assert approvals.git.tree_of_agent("scribe") is None
    await approvals.type("approve", approval(receipt), who="second")
    await in_state(approvals, receipt, "applied")
    note = (await approvals.type("history", receipt.proposal)).replace("\n      ", " ")
    assert "let it join with: agentbus fleet add agent scribe" in note
    tree = approvals.git.tree_of_agent("scribe")
    assert tree is not None
    assert approvals.git.file(tree, "handler.py") == HANDLER.content
    assert approvals.git.tree_of_fleet() == before
    assert not approvals.bench.home.live("scribe").exists()

    refused = await ops.propose(_proposal(tmp_path / "again", FILE))
    await in_state(approvals, refused, "refused")
    assert "the base has moved" in await approvals.type("show", refused.proposal)
    await approvals.end(applier)


async def test_who_may_propose_one_and_how_it_may_be_called(approvals: Approvals, tmp_path: Path) -> None:
    """An operator, by a name that the fleet can have; its file says that name."""
    ops, greeter = await desk_of(approvals, "ops"), await desk_of(approvals, "greeter")

    async def problem(desk: object, name: str) -> str:
        who = ops if desk is None else greeter
        receipt: Receipt = await who.propose(_proposal(tmp_path / "new", FILE, agent=name))
        return receipt.problem

    assert "greeter proposes a change to scribe" in await problem(greeter, "scribe")
    assert "there is an agent textstats" in await problem(None, "textstats")
    for name in ("ops", "reviewer", "approvals", "Scribe", "../scribe", "greeter/lib", ""):
        assert "this fleet cannot have an agent of that name" in await problem(None, name), name
    assert "that the agent is scribe" in await problem(None, "other")
