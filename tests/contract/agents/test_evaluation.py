"""A suite against agents on a real server: one is evaluated, another one judges."""

from __future__ import annotations

import msgspec

from agents.evaluation import Tried, evaluate
from agents.skill import Context, skill
from schemas.documents import parse_yaml
from schemas.errors import Unavailable
from schemas.evaluation import EvaluationSuite
from schemas.ids import sha256_hex
from tests.harness.agent import caller, serving
from tests.harness.fleet import Bench

SUITE = """
agent: textstats
judge: {agent: concierge}
repeat: 2
must_pass: 0.5
cases:
  - {name: says it, ask: hello, expect: {contains: [HELLO]}}
  - {name: is short, ask: hello, expect: {rubric: The answer is short., at_least: 8}}
  - {name: is long, ask: hello, expect: {rubric: The answer is long., at_least: 8}}
  - {name: fails, ask: bad, expect: {contains: [x]}}
  - {name: has a skill, ask: hello, skill: nothing, expect: {contains: [x]}}
"""


class Points(msgspec.Struct):
    """What a judge gives."""

    points: int
    reason: str


@skill(description="Says it louder.")
async def loud(request: str, ctx: Context) -> str:
    if request == "bad":
        raise Unavailable("not today")
    return request.upper()


@skill(description="Likes short answers.")
async def judge(request: str, ctx: Context) -> Points:
    assert "HELLO" in request
    return Points(9, "yes") if "is short" in request else Points(2, "no")


async def test_cases_are_tried_scored_and_told_one_by_one(fleet_bench: Bench) -> None:
    """Answers pass by text and by a judge's points; an error of the agent is a case that did not pass, with its reason."""
    told: list[Tried] = []
    source = SUITE.encode()
    suite = parse_yaml(SUITE, EvaluationSuite, "suite.yaml")
    async with serving(fleet_bench, "textstats", loud), serving(fleet_bench, "concierge", judge):
        report = await evaluate(suite, source, await caller(fleet_bench), at_once=3, on_tried=told.append)
    assert [(one.name, one.is_passed, one.points) for one in report.tried] == [
        result
        for expected in (
            ("says it", True, None), ("is short", True, 9), ("is long", False, 2), ("fails", False, None),
            ("has a skill", False, None),
        )
        for result in (expected, expected)
    ]  # fmt: skip
    assert sorted(told, key=lambda one: one.name) == sorted(report.tried, key=lambda one: one.name)
    assert (report.passed, report.is_passed, report.suite, report.cost_usd) == (4, False, sha256_hex(source), None)
    why = {one.name: one.why for one in report.tried}
    assert why["fails"] == "UNAVAILABLE: not today"
    assert "there is no skill 'nothing'" in why["has a skill"]
