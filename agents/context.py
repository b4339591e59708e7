"""What a skill or a model's tool may do while it answers: ask others, say how far it is, propose a change."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from approvals.propose import Edit
from bus.caller import Caller
from schemas import a2a
from schemas.approvals import Receipt
from schemas.errors import DeadlineExceeded, InvalidAgentResponse

Propose = Callable[[Sequence[Edit], str], Awaitable[Receipt]]
Progress = Callable[[str], Awaitable[None]]

SKILL_KEY = "skill"
"""Key in a message's metadata that names the skill it is for."""


async def _no_progress(_: str) -> None:
    """A request that is not a task has nobody who watches."""


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one request. `deadline_ms` is absolute; None is the agent's own limit only.

    `caller` is the identity that the server enforced, not a claim of the message.
    """

    agent: str
    caller: str
    message: a2a.Message
    deadline_ms: int | None
    calls: Caller
    propose: Propose
    progress: Progress = field(default=_no_progress)

    def remaining_s(self, at_most: float) -> float:
        """Seconds until the deadline, and no more than `at_most`.

        Raises:
            DeadlineExceeded: it has passed.
        """
        if self.deadline_ms is None:
            return at_most
        left = self.deadline_ms / 1000 - time.time()
        if left <= 0:
            raise DeadlineExceeded("the caller's deadline has passed")
        return min(left, at_most)

    @overload
    async def ask(self, agent: str, what: Any, *, skill: str = "", timeout_s: float = 60) -> str: ...

    @overload
    async def ask[T](self, agent: str, what: Any, answer: type[T], *, skill: str = "", timeout_s: float = 60) -> T: ...

    async def ask(
        self, agent: str, what: Any, answer: type[Any] = str, *, skill: str = "", timeout_s: float = 60
    ) -> Any:
        """Ask another agent and wait for its answer as `answer`; deadline, trace and correlation are carried on.

        `what` is text or a value of the other skill's input type.

        Raises:
            A2AError: what the other agent refused with; Unavailable at once when nobody serves it;
                InvalidAgentResponse when the answer is of another type.
        """
        from agents.runtime.typed import read_input, write_output

        message = a2a.Message(
            message_id=f"{self.message.message_id}.{agent}",
            role="ROLE_USER",
            parts=write_output(what),
            metadata={SKILL_KEY: skill} if skill else {},
        )
        request = a2a.SendMessageRequest(message=message)
        response = await self.calls.send_message(agent, request, timeout_s=self.remaining_s(timeout_s))
        if response.message is None:
            raise InvalidAgentResponse(f"{agent} answered with a task where a message was expected")
        return read_input(response.message, answer)
