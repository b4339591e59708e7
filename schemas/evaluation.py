"""A suite of cases by which an agent is evaluated: what it is asked, and what its answer must be.

agent: helper
cases:
  - {name: greets, ask: Hello!, expect: {contains: [hello]}}
  - {name: counts, data: {text: a b}, skill: count, expect: {matches: {type: object, required: [words]}}}
  - {name: is kind, ask: I failed., expect: {rubric: The answer is kind., at_least: 7}}
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from schemas.agent.identity import SkillId
from schemas.documents import Document
from schemas.fleet import AgentId
from schemas.json_schema import Declared


class Expectation(Document):
    """What an answer must be: exactly one of these."""

    exact: JsonValue = Field(None, description="the answer is this text, or this data, and nothing else")
    contains: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="each of these stands in the answer's text; capital and small letters are the same"
    )
    matches: Declared | None = Field(None, description="the answer's data matches this JSON Schema")
    rubric: str = Field("", description="what a judge agent looks at; it gives 0 to 10 points")
    at_least: float = Field(7.0, ge=0, le=10, description="points that pass, with a rubric")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [self.exact is not None, bool(self.contains), self.matches is not None, bool(self.rubric)]
        if sum(given) != 1:
            raise ValueError("write exactly one of exact, contains, matches and rubric")
        return self


class EvaluationCase(Document):
    """One question, and what its answer must be."""

    name: str = Field(min_length=1, max_length=100, description="how the case is called; each name once")
    ask: str | None = Field(None, min_length=1, description="the text that the agent is sent")
    data: JsonValue = Field(None, description="the data that a typed skill is sent, in place of a text")
    skill: SkillId | None = Field(None, description="the skill that is asked; without it the agent's first one")
    expect: Expectation = Field(description="what the answer must be")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.ask is None) == (self.data is None):
            raise ValueError(f"case {self.name}: write exactly one of ask and data")
        return self


class JudgeChoice(Document):
    """The agent that judges by rubric."""

    agent: AgentId = Field("judge", description="its id")
    skill: SkillId | None = Field(None, description="its skill; without it the first one")


class EvaluationSuite(Document):
    """The whole file."""

    agent: AgentId = Field(description="who is evaluated")
    cases: Annotated[tuple[EvaluationCase, ...], Field(min_length=1, max_length=1000)] = Field(
        description="the questions"
    )
    judge: JudgeChoice = Field(JudgeChoice(), description="who judges answers by rubric")
    repeat: int = Field(1, ge=1, le=100, description="how often each case is tried; a try is a case of its own")
    must_pass: float = Field(1.0, ge=0, le=1, description="the share of cases that must pass")
    timeout_s: float = Field(60.0, gt=0, le=3600, description="for each answer")

    @field_validator("cases")
    @classmethod
    def _each_name_once(cls, value: tuple[EvaluationCase, ...]) -> tuple[EvaluationCase, ...]:
        names = [case.name for case in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each case has a name of its own; twice: {', '.join(twice)}")
        return value
