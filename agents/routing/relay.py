"""A question of the agent behind a router, handed on to the router's caller, and its answer handed back.

Which task asked stands in the metadata of the router's own question, which the task keeps: so the answer finds its
way whatever instance of the router gets it, and however often it runs.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agents.asking import AskedBack, parts_of
from agents.context import Context, InputRequired
from agents.safety.provenance import marked
from schemas import a2a
from schemas.errors import UNREADABLE, UnsupportedOperation

RELAYED: Final = "urn:agentbus:relayed"


class Relayed(msgspec.Struct, frozen=True):
    """The task behind a question that was handed on."""

    agent: str
    task: str


def hand_on(back: AskedBack) -> InputRequired | AskedBack:
    """What to raise for a task that is not done: its question, for the router's caller, where it has one."""
    if back.task.status.state != a2a.INPUT_REQUIRED:
        return back
    return InputRequired(back.question, {RELAYED: msgspec.to_builtins(Relayed(back.agent, back.task.id))})


def waiting(context: Context) -> Relayed | None:
    """The task that waits for what the caller has said last; None where nobody does.

    Only the router writes messages of its own role, so nobody else can name a task here.
    """
    question = next((said for said in reversed(context.history) if said.role == "ROLE_AGENT"), None)
    if question is None or context.history[-1].role == "ROLE_AGENT":
        return None
    try:
        return msgspec.convert(question.metadata.get(RELAYED), Relayed)
    except UNREADABLE:
        return None


async def hand_back(context: Context, relayed: Relayed, timeout_s: float) -> tuple[a2a.Part, ...]:
    """The answer of the other agent's task to what the caller has said.

    Raises:
        AskedBack: it asks once more, or has ended otherwise. A2AError: what it refused with.
    """
    said = context.history[-1]
    message = a2a.Message(
        message_id=f"{said.message_id}.{relayed.agent}",
        role="ROLE_USER",
        parts=tuple(marked(part, "untrusted") for part in said.parts),
        task_id=relayed.task,
    )
    try:
        return await parts_of(context.calls, relayed.agent, message, timeout_s)
    except UnsupportedOperation:  # an earlier run of this one has told it, and was killed before it could say so
        task = await context.calls.get_task(relayed.agent, relayed.task)
        if task.status.state != a2a.COMPLETED:
            raise AskedBack(relayed.agent, task) from None
        return tuple(part for artifact in task.artifacts if not artifact.name for part in artifact.parts)
