"""A pipeline: agents one after the other, each with what those before it gave, and a judge that sends work back."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from .agent.identity import SkillId
from .documents import Document
from .errors import InvalidDocument
from .filling import Place, places_in, texts_in
from .fleet import AgentId

INPUT, ROUND = "input", "round"
StepId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
Template = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]


class Until(Document):
    """When the work is good enough; until then it is done again, from an earlier step on."""

    points: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")] = Field(
        "points", description="the field of this step's answer that holds the points"
    )
    at_least: float = Field(allow_inf_nan=False, description="so many points are enough")
    rounds: int = Field(3, ge=1, le=20, description="this step is done so often at most")
    back_to: StepId = Field(description="the earlier step from which the work is done again")
    otherwise: Literal["fail", "accept"] = Field(
        "fail", description="what becomes of the run when the last round has too few points"
    )


class Step(Document):
    """One step: a question to one agent. Of `input` and `data` one, or both."""

    id: StepId = Field(description="the step's name, by which later steps have its answer: {{id}}, {{id.field}}")
    agent: AgentId = Field(description="the agent that does it")
    skill: SkillId | None = Field(None, description="its skill; the agent's first one without it")
    input: Template | None = Field(None, description="what it is asked, with places such as {{input}} and {{draft}}")
    data: dict[str, JsonValue] | None = Field(
        None, description="for a skill that takes data; its texts may have places"
    )
    until: Until | None = Field(None, description="makes this step the judge of those before it")

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.input is None and self.data is None:
            raise ValueError(f"step {self.id}: say what is asked: 'input', 'data' or both")
        return self

    @property
    def places(self) -> list[Place]:
        """Every place in what is asked."""
        texts = [*([self.input] if self.input else []), *texts_in(self.data)]
        return [place for text in texts for place in places_in(text)]


class Pipeline(Document):
    """The whole file."""

    name: _Name = Field(description="the pipeline's name")
    description: str = Field("", description="what it makes")
    budget_usd: Decimal | None = Field(
        None, gt=0, allow_inf_nan=False, description="what all steps together may cost; no limit without it"
    )
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)] = Field(description="one after the other")
    output: Template | None = Field(None, description="what the whole gives; the last step's answer without it")

    @field_validator("steps")
    @classmethod
    def _each_name_once(cls, value: tuple[Step, ...]) -> tuple[Step, ...]:
        known: set[str] = {INPUT, ROUND}
        for step in value:
            if step.id in known:
                raise ValueError(f"two steps are called {step.id!r}, or it is one of {INPUT}, {ROUND}")
            known.add(step.id)
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        try:
            problems = list(self._problems())
        except InvalidDocument as error:
            raise ValueError(str(error)) from None
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        order = [step.id for step in self.steps]
        for number, step in enumerate(self.steps):
            for place in step.places:
                yield from _problem_of(place, order, number, f"step {step.id}")
            if step.until is not None and step.until.back_to not in order[: number + 1]:
                yield f"step {step.id}: back_to is {step.until.back_to!r}, which is no step before it"
        for place in places_in(self.output or ""):
            yield from _problem_of(place, order, len(order), "output")


def _problem_of(place: Place, order: list[str], number: int, where: str) -> Iterator[str]:
    if place.name in {INPUT, ROUND}:
        return
    if place.name not in order:
        yield f"{where}: there is no step {place.name!r}; there are: {', '.join(order)}"
    elif order.index(place.name) >= number and not place.is_optional:
        yield f"{where}: {place.name} comes later; write {{{{{place.name}?}}}}: it is empty in the first round"
