"""One run of a pipeline, from its first step to its output.

A run is replayed from its beginning each time: what is finished is read from its task, never done again, so the run
goes on where it was, on whatever side the kill came. The way through the steps depends on nothing but their answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from agents.llm import Budget
from agents.pipeline.errors import NotGoodEnough, StepFailed, StepWaits
from agents.pipeline.journal import Journal, Try
from agents.pipeline.leaving import Leaving
from agents.routing.ask_agent import spoken
from bus import trace
from bus.requests import spending
from bus.requests.caller import Caller
from schemas import a2a, names
from schemas.errors import InvalidDocument
from schemas.filling import Value, filled, filled_value
from schemas.pipeline import INPUT, ROUND, Pipeline, Step, Until
from schemas.usage import NOTHING, Chain, Usage


@dataclass(frozen=True, slots=True)
class Done:
    """One step that came to its end. `is_known`: it was done before this process began."""

    step: Step
    round: int
    task: a2a.Task
    is_known: bool

    @property
    def usage(self) -> Usage:
        """What it did cost; nothing where it tells nothing."""
        return Usage.told_in(self.task.metadata) or Usage()


class Telling(Protocol):
    """Hears how a run goes."""

    def began(self, step: Step, round_: int, task: str) -> None:
        """A step was left, or is waited for again."""

    def goes_on(self, task: a2a.Task) -> None:
        """A look at the task."""

    def ended(self, done: Done) -> None:
        """A step came to its end."""

    def judged(self, step: Step, points: float, round_: int) -> None:
        """A judge has spoken."""


@dataclass(slots=True)
class Run:
    """A run under its name. `finished` is what has been done so far, also where it stopped."""

    name: str
    pipeline: Pipeline
    calls: Caller
    journal: Journal
    telling: Telling
    budget_usd: Decimal | None = None
    finished: list[Done] = field(default_factory=list)

    async def output(self) -> str:
        """Do what is left to do, and give the whole's output.

        Raises:
            StepFailed, StepWaits: it stopped there. NotGoodEnough: the judge's last round had too few points.
            A2AError, UnknownOutcome: a step could not be left. InvalidDocument: an answer has not what is asked of it.
        """
        leaving = Leaving(self.calls, self.journal, self.name)
        values = {INPUT: Value(self.journal.begun.input)}
        rounds: Counter[str] = Counter()
        place = 0
        while place < len(self.pipeline.steps):
            step = self.pipeline.steps[place]
            rounds[step.id] += 1
            done = await self._done(leaving, step, rounds[step.id], values)
            self.finished.append(done)
            self.telling.ended(done)
            values[step.id] = _value_of(done.task)
            place += 1
            if step.until is not None and not self._is_enough(step, step.until, values, rounds[step.id]):
                place = self._place_of(step.until.back_to)
        return self._output(values)

    @property
    def cost(self) -> Chain:
        """What all finished steps did cost together."""
        total = Chain()
        for done in self.finished:
            total = total.plus(done.usage.total)
        return total

    async def _done(self, leaving: Leaving, step: Step, round_: int, values: Mapping[str, Value]) -> Done:
        tried, is_known = self.journal.last(step.id, round_), True
        while True:
            if tried is None or not tried.task:
                is_known = False
                tried = await self._leave(leaving, step, round_, tried, values)
            self.telling.began(step, round_, tried.task)
            task = await leaving.ended(step.agent, tried.task, self.telling.goes_on)
            if task.status.state == a2a.COMPLETED:
                return Done(step, round_, task, is_known)
            self._require_failed_before(step, task, is_known=is_known)
            tried, is_known = self.journal.about_to(step.id, round_, tried.number + 1), False

    async def _leave(
        self, leaving: Leaving, step: Step, round_: int, tried: Try | None, values: Mapping[str, Value]
    ) -> Try:
        values = {**values, ROUND: Value(str(round_))}
        tried = tried or self.journal.about_to(step.id, round_, 1)
        message = a2a.Message(
            message_id=leaving.message_id(tried),
            role="ROLE_USER",
            parts=_parts(step, values),
            context_id=leaving.context,
            metadata={names.SKILL_KEY: step.skill} if step.skill else {},
        )
        left = self._left()
        spending.enter(spending.Account(Budget(left)))
        with trace.entered(trace.of_conversation(self.name) or trace.new_trace()):
            return await leaving.left(step.agent, tried, message)

    def _left(self) -> Decimal | None:
        """What the steps that are still to be done may cost."""
        if self.budget_usd is None:
            return None
        return max(self.budget_usd - sum((spending.counted(done.usage) for done in self.finished), NOTHING), NOTHING)

    def _require_failed_before(self, step: Step, task: a2a.Task, *, is_known: bool) -> None:
        """Return where a failure is one of an earlier process, which is what a run is resumed for.

        Raises:
            StepFailed, StepWaits: it is not.
        """
        said = task.status.message.text() if task.status.message else ""
        state = task.status.state.removeprefix("TASK_STATE_").lower()
        if task.status.state in a2a.INTERRUPTED:
            raise StepWaits(f"step {step.id}: {step.agent}'s {task.id} is {state}: {said}")
        if not is_known:
            raise StepFailed(f"step {step.id}: {step.agent}'s {task.id} is {state}: {said}")

    def _is_enough(self, step: Step, until: Until, values: Mapping[str, Value], round_: int) -> bool:
        points = _points(step, until, values[step.id])
        self.telling.judged(step, points, round_)
        if points >= until.at_least or (round_ >= until.rounds and until.otherwise == "accept"):
            return True
        if round_ >= until.rounds:
            raise NotGoodEnough(
                f"step {step.id}: {points:g} points after {round_} rounds; {until.at_least:g} are wanted",
                self._output(values),
            )
        return False

    def _place_of(self, step: str) -> int:
        return next(number for number, one in enumerate(self.pipeline.steps) if one.id == step)

    def _output(self, values: Mapping[str, Value]) -> str:
        if self.pipeline.output is not None:
            return filled(self.pipeline.output, values)
        return values[self.pipeline.steps[-1].id].text


def _parts(step: Step, values: Mapping[str, Value]) -> tuple[a2a.Part, ...]:
    text = () if step.input is None else (a2a.Part(text=filled(step.input, values), media_type="text/plain"),)
    if step.data is None:
        return text
    return (*text, a2a.Part(data=filled_value(step.data, values), media_type="application/json"))


def _value_of(task: a2a.Task) -> Value:
    """What a task gave: its answer, without the artifacts that have a name."""
    parts = tuple(part for artifact in task.artifacts if not artifact.name for part in artifact.parts)
    data = next((part.data for part in parts if part.data is not msgspec.UNSET), None)
    return Value(spoken(parts), data)


def _points(step: Step, until: Until, value: Value) -> float:
    points: Any = value.data.get(until.points) if isinstance(value.data, dict) else None
    if isinstance(points, bool) or not isinstance(points, int | float):
        raise InvalidDocument(
            f"step {step.id}: {step.agent} answered without a number {until.points!r}; "
            "a judge needs a skill whose output schema has it"
        )
    return float(points)
