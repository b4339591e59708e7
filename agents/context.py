"""What a skill or a model's tool may do while it answers.

Ask other agents, say how far it is, give parts of the answer early, ask the caller something, hear what
the caller adds meanwhile, propose a change of itself, remember.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import msgspec

from agents.asking import Ask, AskedBack, Restarted, answer_of, message_to, pieces_of
from agents.changes import Asked, Asking
from agents.llm.budget import Budget
from agents.remembering import Remembering, Unremembered
from agents.routing import gathering
from agents.routing.gathering import First
from approvals.change.edits import Change
from bus.requests import spending
from schemas import a2a, names
from schemas.approvals import Receipt, Standing
from schemas.errors import DeadlineExceeded, UnsupportedOperation
from schemas.ids import ulid

if TYPE_CHECKING:  # a check of an agent's files opens no connection, and is not to import what does
    from bus.requests.caller import Caller

SKILL_KEY = names.SKILL_KEY


class InputRequired(Exception):
    """The work cannot go on before the caller answers `question`. Raised by `Context.input_required`; let it pass.

    `metadata` is kept with the question, where the next run finds it in the history, and the caller sees it.
    """

    def __init__(self, question: str, metadata: a2a.JsonObject | None = None) -> None:
        super().__init__(question)
        self.question = question
        self.metadata = metadata or {}


class Work(Protocol):
    """The task behind a request, when there is one."""

    @property
    def history(self) -> tuple[a2a.Message, ...]:
        """The conversation so far, oldest first."""

    @property
    def task(self) -> str:
        """Its id."""

    @property
    def asked(self) -> tuple[Asked, ...]:
        """See `agents.changes.Memory`."""

    @property
    def is_durable(self) -> bool:
        """Whether it is begun again when its process ends."""

    def when_over(self, do: Callable[[], Awaitable[None]]) -> None:
        """Have `do` called when the task has ended, and that is stored. It must not raise."""

    async def keep_asked(self, asked: tuple[Asked, ...]) -> None:
        """See `agents.changes.Memory`."""

    async def progress(self, text: str) -> None:
        """Tell whoever watches."""

    async def give(self, parts: tuple[a2a.Part, ...], *, anew: bool = False) -> None:
        """Append to the answer; `anew`: what was given before is void, and this takes its place."""

    async def artifact(self, artifact: a2a.Artifact) -> None:
        """Add a result beside the answer."""

    async def next_message(self) -> a2a.Message:
        """Wait for what the caller sends while the task runs."""


class NoTask:
    """A request that is answered by a message at once: nobody watches, and the answer is one piece."""

    history: tuple[a2a.Message, ...] = ()
    task = ""
    asked: tuple[Asked, ...] = ()
    is_durable = False

    def when_over(self, do: Callable[[], Awaitable[None]]) -> None:
        """There is no end to wait for."""

    async def keep_asked(self, asked: tuple[Asked, ...]) -> None:
        """Nothing outlives the request."""

    async def progress(self, text: str) -> None:
        """Nobody watches."""

    async def give(self, parts: tuple[a2a.Part, ...], *, anew: bool = False) -> None:
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
    asking: Asking
    work: Work = msgspec.field(default_factory=NoTask)
    context_id: str = ""
    """The conversation that the message belongs to: the caller's, or the one that the answer names. Not empty in a skill."""
    extensions: frozenset[str] = frozenset()
    """URIs of the extensions in the agent's card that the caller declares to support."""
    budget: Budget = msgspec.field(default_factory=Budget)
    """What the work may spend on models and on what it asks others: of this task, all runs together."""
    memory: Remembering = msgspec.field(default_factory=Unremembered)
    """The caller's notes and its conversation, for a handler whose file has a section `memory`."""
    _questions: list[int] = msgspec.field(default_factory=lambda: [0])
    """How many questions the function has asked in this run."""

    @property
    def history(self) -> tuple[a2a.Message, ...]:
        """What was said in this task, oldest first: the caller's messages, `message` first, and the agent's questions.

        It grows while the function runs, when the caller adds something. A request that is not a task has its message
        alone: other tasks of the same `context_id` are not looked up.
        """
        return self.work.history or (self.message,)

    async def progress(self, text: str) -> None:
        """Tell whoever watches the task how far it is; a request that is not a task has nobody who watches."""
        await self.work.progress(text)

    async def artifact(self, name: str, *values: Any, description: str = "") -> None:
        """Add a result beside the answer: texts, or values that become data parts.

        Raises:
            UnsupportedOperation: the caller asked for a message, which has no artifacts.
        """
        from agents.runtime.loading.typed import write_output

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

    async def propose(self, changes: Sequence[Change], rationale: str) -> Receipt:
        """Ask people to change the agent's own folder, and go on at once: the receipt says whether they are asked.

        Raises:
            CannotPropose: the changes do not fit the files. A2AError: the approval service could not be reached.
        """
        return await self.asking.at_once(changes, rationale)

    async def propose_change(self, changes: Sequence[Change], rationale: str) -> Standing:
        """Ask people to change the agent's own folder, and wait for what becomes of that.

        In a task: the task becomes AUTH_REQUIRED and the function ends here. When the proposal is applied, rolled
        back, rejected, withdrawn, refused or has expired, the function runs again from its start, on whatever
        instance, the change in force if it was applied, and this call returns how it ended; the second call asks
        for the second change, and so on, as with `input_required`. Where there is no task it does not wait: the
        proposal's state is `open`.

        Raises:
            CannotPropose: the changes do not fit the files, or the proposal was not accepted for review.
            A2AError: the approval service could not be reached.
        """
        return await self.asking.decided(changes, rationale)

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
    async def ask(
        self, agent: str, what: Any, *, skill: str = "", timeout_s: float = 60, budget_usd: Decimal | None = None
    ) -> str: ...

    @overload
    async def ask[T](
        self,
        agent: str,
        what: Any,
        answer: type[T],
        *,
        skill: str = "",
        timeout_s: float = 60,
        budget_usd: Decimal | None = None,
    ) -> T: ...

    async def ask(
        self,
        agent: str,
        what: Any,
        answer: type[Any] = str,
        *,
        skill: str = "",
        timeout_s: float = 60,
        budget_usd: Decimal | None = None,
    ) -> Any:
        """Ask another agent and wait for its answer as `answer`; deadline, trace and correlation are carried on.

        `what` is text or a value of the other skill's input type. Of the budget the other agent gets `budget_usd`, or
        half of what is left.

        Raises:
            A2AError: what the other agent refused with; Unavailable at once when nobody serves it;
                InvalidAgentResponse when the answer is of another type;
                AskedBack when it is a task that waits for an answer, see `reply`.
        """
        with spending.allotted(budget_usd):
            return await self._ask(Ask(agent, what, answer, skill, timeout_s))

    async def _ask(self, ask: Ask) -> Any:
        message = message_to(ask.agent, ask.what, skill=ask.skill, cause=self.message)
        return await answer_of(self.calls, ask.agent, message, ask.answer, self.remaining_s(ask.timeout_s))

    async def gather(self, asks: Sequence[Ask], *, at_once: int = 8) -> list[Any]:
        """Ask several agents, `at_once` of them at a time; the answers in the order of `asks`.

        Where one failed, its A2AError (an AskedBack too) stands in the place of its answer. What is left of the
        budget is split equally among those that name no `budget_usd`.
        """
        return await gathering.gather(self._ask, asks, at_once=at_once)

    async def ask_any(self, asks: Sequence[Ask]) -> First:
        """Ask several agents at once and take the first answer; the others are not waited for, and may have acted.

        Raises:
            NobodyAnswered: all failed; `failures` says why.
        """
        return await gathering.first_of(self._ask, asks)

    @overload
    async def reply(self, asked: AskedBack, what: Any, *, timeout_s: float = 60) -> str: ...

    @overload
    async def reply[T](self, asked: AskedBack, what: Any, answer: type[T], *, timeout_s: float = 60) -> T: ...

    async def reply(self, asked: AskedBack, what: Any, answer: type[Any] = str, *, timeout_s: float = 60) -> Any:
        """Answer what another agent asked back, and wait for its answer to the whole. Raises as `ask`."""
        message = message_to(asked.agent, what, cause=self.message)
        message = msgspec.structs.replace(message, task_id=asked.task.id)
        return await answer_of(self.calls, asked.agent, message, answer, self.remaining_s(timeout_s))

    @overload
    def ask_stream(
        self, agent: str, what: Any, *, skill: str = "", timeout_s: float = 60
    ) -> AsyncGenerator[str, None]: ...

    @overload
    def ask_stream(
        self, agent: str, what: Any, *, restarts: Literal[True], skill: str = "", timeout_s: float = 60
    ) -> AsyncGenerator[str | Restarted, None]: ...

    @overload
    def ask_stream[T](
        self, agent: str, what: Any, piece: type[T], *, skill: str = "", timeout_s: float = 60
    ) -> AsyncGenerator[T, None]: ...

    @overload
    def ask_stream[T](
        self, agent: str, what: Any, piece: type[T], *, restarts: Literal[True], skill: str = "", timeout_s: float = 60
    ) -> AsyncGenerator[T | Restarted, None]: ...

    def ask_stream(
        self,
        agent: str,
        what: Any,
        piece: type[Any] = str,
        *,
        skill: str = "",
        timeout_s: float = 60,
        restarts: bool = False,
    ) -> AsyncGenerator[Any, None]:
        """Ask another agent and get its answer in pieces, each as `piece`, as they come.

        Each piece comes once and in order, also when an instance of the other agent ends meanwhile. `timeout_s` is
        for the beginning; the whole ends with this request. Who stops early leaves the other's task running.

        An answer may begin again: another model took over, a run began anew, a model used a tool after some text. With
        `restarts` a `Restarted` then says that the pieces before it are void; without, they are followed by the new ones.
        Raises as `ask`, AskedBack after the last piece.
        """
        message = message_to(agent, what, skill=skill, cause=self.message)
        pieces = pieces_of(self.calls, agent, message, piece, self.remaining_s(timeout_s))
        return pieces if restarts else _without_restarts(pieces)


async def _without_restarts(pieces: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            if not isinstance(piece, Restarted):
                yield piece


def answers_in(history: Sequence[a2a.Message]) -> list[a2a.Message]:
    """What the caller answered: the message after each question of the agent."""
    return [
        after
        for before, after in itertools.pairwise(history)
        if before.role == "ROLE_AGENT" and after.role == "ROLE_USER"
    ]
