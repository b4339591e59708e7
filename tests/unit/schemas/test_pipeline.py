"""The file of a pipeline: what is refused, with which words."""

from __future__ import annotations

import pytest

from agents.home import NEWSROOM
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.pipeline import Pipeline

HEAD = "name: p\nsteps:\n"


def test_the_newsrooms_pipeline_is_one() -> None:
    """The example is read, and its judge is the last step."""
    pipeline = parse_yaml((NEWSROOM / "pipeline.yaml").read_text(), Pipeline, "pipeline.yaml")
    assert [step.agent for step in pipeline.steps] == ["researcher", "writer", "editor", "judge"]
    assert pipeline.steps[-1].until is not None


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ("  - {id: a, agent: x}\n", "say what is asked"),
        ("  - {id: a, agent: x, input: '{{b}}'}\n", "there is no step 'b'; there are: a"),
        ("  - {id: a, agent: x, input: '{{a}}'}\n", "a comes later; write {{a?}}"),
        ("  - {id: a, agent: x, input: i}\n  - {id: a, agent: x, input: i}\n", "two steps are called 'a'"),
        ("  - {id: input, agent: x, input: i}\n", "or it is one of input, round"),
        ("  - {id: a, agent: x, input: '{{ 1 + 1 }}'}\n", "is no place to fill"),
        ("  - {id: a, agent: x, data: {k: ['{{c}}']}}\n", "there is no step 'c'"),
        ("  - {id: a, agent: x, input: i, until: {at_least: 1, back_to: z}}\n", "which is no step before it"),
        ("  - {id: a, agent: X Y, input: i}\n", "steps.0.agent"),
        ("  - {id: a, agent: x, inptu: i}\n", "did you mean 'input'"),
    ],
)
def test_what_does_not_hold_together_is_named(steps: str, problem: str) -> None:
    """At once, before anything is paid for."""
    with pytest.raises(InvalidDocument) as refused:
        parse_yaml(HEAD + steps, Pipeline, "pipeline.yaml")
    assert problem in str(refused.value)


def test_a_later_step_may_be_missing() -> None:
    """What a judge said is empty in the first round."""
    steps = (
        "  - {id: a, agent: x, input: '{{j.why?}} {{round}} {{input}}'}\n"
        "  - {id: j, agent: y, input: '{{a}}', until: {at_least: 1, back_to: a}}\n"
    )
    assert parse_yaml(HEAD + steps, Pipeline, "pipeline.yaml").output is None
