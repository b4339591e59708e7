"""What a skill or a model's tool may do while it answers.

Ask other agents, say how far it is, give parts of the answer early, ask the caller something, hear what
the caller adds meanwhile, propose a change of itself.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, overload

import msgspec

from approvals.propose import Edit
from bus.caller import Caller
from schemas import a2a
from schemas.approvals import Receipt
from schemas.errors import DeadlineExceeded, InvalidAgentResponse, UnsupportedOperation
from schemas.ids import ulid

Propose = Callable[[Sequence[Edit], str], Awaitable[Receipt]]

SKILL_KEY = "skill"
"""Key in a message's metadata that names the skill it is for."""


class InputRequired(Exception):
    """The work cannot go on before the caller answers `question`. Raised by `Context.input_required`; let it pass."""

    def __init__(self, question: str) -> None:
        super().__init__(question)
        self.question = question


class Work(Protocol):
    """The task behind a request, when there is one."""

    @property
    def history(self) -> tuple[a2a.Message, ...]:
        """The conversation so far, oldest first."""

    async def progress(self, text: str) -> None:
        """Tell whoever watches."""

    async def give(self, parts: tuple[a2a.Part, ...]) -> None:
        """Append to the answer."""

    async def artifact(self, artifact: a2a.Artifact) -> None:
        """Add a result beside the answer."""

    async def next_message(self) -> a2a.Message:
        """Wait for what the caller sends while the task runs."""


class NoTask:
    """A request that is answered by a message at once: nobody watches, and the answer is one piece."""

    history: tuple[a2a.Message, ...] = ()

    async def progress(self, text: str) -> None:
        """Nobody watches."""

    async def give(self, parts: tuple[a2a.Part, ...]) -> None:
        """The whole answer is sent at the end."""

    async def artifact(self, artifact: a2a.Artifact) -> None:
        """A message has no artifacts.

        Raises:
            UnsupportedOperation: always; the caller has to ask for a task.
        """
        raise UnsupportedOperation(
            f"this skill gives an artifact ({artifact.name or artifact.artifact_id}): ask for a task, "
            "with SendStreamingMessage or returnImmediately"
        )

    async def next_message(self) -> a2a.Message:
        """Nothing can be added to a request: waits until the work is cancelled."""
        await asyncio.Event().wait()
        raise AssertionError


class Context(msgspec.Struct, frozen=True, eq=False):
    """The surroundings of one request. `deadline_ms` is absolute: the caller's, or the agent's own where that is sooner.

    `caller` is the identity that the server enforced, not a claim of the message.
    """

    agent: str
    caller: str
    message: a2a.Message
    deadline_ms: int | None
    calls: Caller
    propose: Propose
    work: Work = msgspec.field(default_factory=NoTask)
    extensions: frozenset[str] = frozenset()
    """URIs of the extensions in the agent's card that the caller declares to support."""
    _questions: list[int] = msgspec.field(default_factory=lambda: [0])
    """How many questions the function has asked in this run."""

    async def progress(self, text: str) -> None:
        """Tell whoever watches the task how far it is; a request that is not a task has nobody who watches."""
        await self.work.progress(text)

    async def artifact(self, name: str, *values: Any, description: str = "") -> None:
        """Add a result beside the answer: texts, or values that become data parts.

        Raises:
            UnsupportedOperation: the caller asked for a message, which has no artifacts.
        """
        from agents.runtime.typed import write_output

        parts = tuple(part for value in values for part in write_output(value))
        identity = ulid(time.time_ns(), os.urandom(10))
        await self.work.artifact(a2a.Artifact(artifact_id=identity, name=name, description=description, parts=parts))

    async def input_required(self, question: str) -> a2a.Message:
        """The caller's answer to `question`.

        The first time there is none: the task becomes INPUT_REQUIRED and the function ends here. When the caller
        has answered, on whatever instance, it runs again from its start, and this call returns the answer; the
        second call waits for the second answer, and so on. So what stands before it runs again: keep effects after it.
        """
        number = self._questions.pop() + 1
        self._questions.append(number)
        answers = answers_in(self.work.history)
        if number > len(answers):
            raise InputRequired(question)
        return answers[number - 1]

    async def next_message(self) -> a2a.Message:
        """Wait for the next message that the caller sends to the running task, to steer it."""
        return await self.work.next_message()

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


def answers_in(history: Sequence[a2a.Message]) -> list[a2a.Message]:
    """What the caller answered: the message after each question of the agent."""
    return [
        after
        for before, after in itertools.pairwise(history)
        if before.role == "ROLE_AGENT" and after.role == "ROLE_USER"
    ]
