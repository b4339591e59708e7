"""The tool by which an agent asks to be changed. It changes nothing: people decide, the applier applies."""

from __future__ import annotations

from pydantic import Field

from agents.context import Context
from approvals.change.edits import Edit
from schemas.approvals import Standing
from schemas.documents import Document

NAME = "propose_change"
DESCRIPTION = (
    "Propose a change to your own configuration. People review it; nothing changes until they approve. "
    "Give the file, the exact text to find in it (once), and the text to put in its place."
)


class ProposeChange(Document):
    """The change and the reason for it, in words that a reviewer understands."""

    path: str = Field(min_length=1, max_length=200, description="file in your own folder, such as agent.yaml")
    find: str = Field("", max_length=20_000, description="text that occurs once in it; empty writes the whole file")
    replace: str = Field(max_length=200_000, description="what stands there afterwards")
    rationale: str = Field(min_length=1, max_length=2_000, description="why, in one or two sentences")


_ENDS = {
    "applied": "was approved and applied: it is in force",
    "rolled_back": "was approved and applied, did not work, and was rolled back: nothing has changed",
    "rejected": "was rejected: nothing has changed",
    "expired": "was not decided in time: nothing has changed",
    "withdrawn": "was withdrawn: nothing has changed",
    "refused": "was refused: nothing has changed",
}


async def propose_change(arguments: Document, context: Context) -> str:
    """Send the proposal; returns what the model is told. A task waits for the decision, which its later run tells.

    Raises:
        CannotPropose: the edit does not fit the file. A2AError: the approval service could not be reached.
        AuthRequired: the task waits.
    """
    if not isinstance(arguments, ProposeChange):
        raise TypeError("the loop hands each tool its own input type")
    edit = Edit(arguments.path, arguments.find, arguments.replace)
    if context.asking.is_waiting:
        return told(await context.propose_change([edit], arguments.rationale))
    receipt = await context.propose([edit], arguments.rationale)
    if receipt.problem:
        return f"The proposal was not accepted for review: {receipt.problem}"
    return f"Proposal {receipt.proposal} waits for approval; nothing has changed yet."


def told(standing: Standing) -> str:
    """How a proposal ended, for the model."""
    end = _ENDS.get(standing.state, f"is {standing.state}: nothing has changed")
    return f"Proposal {standing.proposal} {end}" + (f" ({standing.note})" if standing.note else "")
