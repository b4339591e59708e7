"""An agent on trial: loaded as its process would load it, asked as a caller would ask it, in the test's own loop."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast, overload

import msgspec

from agents.asking import AskedBack, message_to
from agents.changes import Asking, AuthRequired
from agents.context import Context, InputRequired
from agents.llm import Budget, ToolResult, ToolTurn
from agents.llm.providers.offline import OfflineProvider
from agents.runtime.answering.answers import Answering, Outside
from agents.runtime.answering.ways import answering_of
from agents.runtime.loading.load import Loaded, card_of, load_agent
from agents.runtime.loading.typed import read_input
from bus.connection import Connection
from bus.requests import spending
from bus.requests.caller import Caller
from schemas import a2a
from schemas.agent.reading import NOWHERE

from .others import Others, Request
from .script import Script, Step
from .surroundings import Conversations, Event, Proposed, Reviewers, Trail, TrialTask

_LONGEST_S = 30.0
_MOST_RUNS = 50
"""Runs of one task: a function that always asks anew for a change has to end."""


class Trial:
    """One agent. What it did in all requests together is in the attributes, in order."""

    def __init__(
        self,
        agent: Loaded,
        answering: Answering,
        trail: Trail,
        others: Others,
        reviewers: Reviewers,
        script: Script | None,
    ) -> None:
        self._agent = agent
        self._answering = answering
        self._trail = trail
        self._others = others
        self._reviewers = reviewers
        self.model = script
        """The script with the questions that the model was asked; None where the built-in stand-in or a handler answers."""
        self.caller = "tester"
        """Whom the agent takes the caller for; change it to ask as somebody else."""
        self._numbers = itertools.count(1)
        self._tasks: dict[str, TrialTask] = {}

    @property
    def id(self) -> str:
        """The agent's id."""
        return self._agent.id

    @property
    def card(self) -> a2a.AgentCard:
        """What others read of it: its skills with their types."""
        return card_of(self._agent, "trial", "trial")

    @property
    def events(self) -> tuple[Event, ...]:
        """What would be on the audit trail."""
        return tuple(self._trail.events)

    @property
    def asked(self) -> tuple[Request, ...]:
        """What it asked other agents."""
        return tuple(self._others.asked)

    @property
    def proposed(self) -> tuple[Proposed, ...]:
        """The changes of itself that it asked for."""
        return tuple(self._reviewers.proposed)

    @property
    def progress(self) -> tuple[str, ...]:
        """What it said of how far it is."""
        return tuple(text for task in self._tasks.values() for text in task.progressed)

    @property
    def pieces(self) -> tuple[str, ...]:
        """The texts that it gave before the whole answer was there."""
        return tuple(str(part.text or "") for task in self._tasks.values() for part in task.pieces)

    @property
    def artifacts(self) -> dict[str, a2a.Artifact]:
        """What it gave beside its answers, by name."""
        return {name: artifact for task in self._tasks.values() for name, artifact in task.artifacts.items()}

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """What the model was told of the tools that it called."""
        questions = self.model.questions if self.model else []
        told = [turn for question in questions for turn in question.turns if isinstance(turn, ToolTurn)]
        return tuple({result.call_id: result for turn in told for result in turn.results}.values())

    @overload
    async def ask(
        self, what: Any, *, skill: str = "", replies: Sequence[Any] = (), adds: Sequence[Any] = (),
        context_id: str = "",
    ) -> str: ...  # fmt: skip

    @overload
    async def ask[T](
        self, what: Any, answer: type[T], *, skill: str = "", replies: Sequence[Any] = (), adds: Sequence[Any] = (),
        context_id: str = "",
    ) -> T: ...  # fmt: skip

    async def ask(
        self, what: Any, answer: type[Any] = str, *, skill: str = "", replies: Sequence[Any] = (),
        adds: Sequence[Any] = (), context_id: str = "",
    ) -> Any:  # fmt: skip
        """Ask the agent in a task, as `caller`, and return its answer as `answer` (`dict`: the data as it is).

        `what` is text, a value of the skill's input type, or a part; `replies` answer what it asks back, in order;
        `adds` are further messages, which it hears while it works. Requests of one `context_id` are a conversation,
        for agents with a memory. Half a minute is the longest.

        Raises:
            AskedBack: it asks one more question than there are replies.
            A2AError: what the caller would be refused with; any other error of the agent comes as it is.
        """
        number = next(self._numbers)
        cause = a2a.Message(message_id=f"m-{number}", role="ROLE_USER", parts=())
        message = message_to(self.id, what, skill=skill, cause=cause)
        message = msgspec.structs.replace(message, context_id=context_id or f"c-{number}")
        task = self._tasks[f"t-{number}"] = TrialTask(f"t-{number}", message)
        for added in adds:
            task.hear(_said(self.id, added, message))
        async with asyncio.timeout(_LONGEST_S):
            parts = await self._answered(task, message, list(replies))
        return _as(answer, parts)

    async def _answered(self, task: TrialTask, message: a2a.Message, replies: list[Any]) -> tuple[a2a.Part, ...]:
        for _ in range(_MOST_RUNS):
            task.begin()
            try:
                # a task of its own, as each request has: what a run enters does not reach the next one
                return await asyncio.create_task(self._run(task, message))
            except InputRequired as wanted:
                question = a2a.Message(
                    message_id="q", role="ROLE_AGENT", parts=(a2a.Part(text=wanted.question),), task_id=task.task
                )
                task.say(question)
                if not replies:
                    status = a2a.TaskStatus(state=a2a.INPUT_REQUIRED, message=question)
                    raise AskedBack(
                        self.id, a2a.Task(id=task.task, context_id=message.context_id, status=status)
                    ) from None
                task.say(_said(self.id, replies.pop(0), message))
            except AuthRequired as waits:
                if not task.asked or waits.proposal != task.asked[-1].proposal or self._reviewers.is_undecided:
                    raise
        raise AssertionError(f"{self.id} has run {_MOST_RUNS} times for one task and is not done")

    async def _run(self, task: TrialTask, message: a2a.Message) -> tuple[a2a.Part, ...]:
        limits = self._agent.file.budget
        budget = Budget(limits.max_cost_per_task_usd, unknown_price=limits.unknown_price)
        spending.enter(spending.Account(budget))
        context = Context(
            agent=self.id, caller=self.caller, message=message, deadline_ms=None, calls=cast(Caller, self._others),
            asking=Asking(self._reviewers, task), work=task, context_id=message.context_id, budget=budget,
        )  # fmt: skip
        return await self._answering.answer(context)


@asynccontextmanager
async def trial(
    folder: str | Path, *, model: Sequence[Step] | None = None, others: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = NOWHERE, proposals: str = "applied",
) -> AsyncIterator[Trial]:  # fmt: skip
    """The agent of `folder`, ready to be asked.

    `model` is what its model says, turn by turn; without it the built-in stand-in answers: no model is ever called.
    `others` are the answers of other agents, by name. `environment` are the variables of its file. `proposals` is
    what becomes of the changes that it asks for: the state of a `Standing`, such as `rejected` or `open`.

    Not there: lifespans, limits of rates and sizes, the rights of the fleet file.

    Raises:
        InvalidDocument, ToolUnusable: the agent cannot be used. AssertionError: turns of the script were not asked for.
    """
    agent = load_agent(Path(folder), environment)
    script = Script(model) if model is not None else None
    trail, reviewers = Trail(), Reviewers(agent.id, proposals)
    with tempfile.TemporaryDirectory(prefix="agentbus-trial-") as state:
        outside = Outside(provider=script or OfflineProvider(), sessions=Conversations())
        answering = await answering_of(agent, trail.audit, cast(Connection, None), Path(state), outside)
        try:
            yield Trial(agent, answering, trail, Others(others or {}), reviewers, script)
        finally:
            await answering.close()
    if script is not None and script.left:
        raise AssertionError(f"{len(script.left)} turns of the script were not asked for: {script.left!r}"[:500])


def _said(agent: str, what: Any, first: a2a.Message) -> a2a.Message:
    return msgspec.structs.replace(message_to(agent, what, cause=first), context_id=first.context_id)


def _as(kind: type[Any], parts: tuple[a2a.Part, ...]) -> Any:
    if kind is dict:
        return next(part.data for part in parts if part.data is not msgspec.UNSET)
    return read_input(a2a.Message(message_id="", role="ROLE_AGENT", parts=parts), kind)
