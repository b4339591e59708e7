"""Scoring by a judge: another agent of the fleet gives points. What it judges is data to it, between fences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agents.safety.fence import fenced, new_mark
from schemas.a2a import Part
from schemas.errors import UNREADABLE
from schemas.evaluation import Expectation

from .scoring import MOST_POINTS, Score, data_of, text_of


def question(expect: Expectation, asked: str, answer: str) -> str:
    """What the judge is asked."""
    mark = new_mark()
    return "\n\n".join(
        (
            f"Judge an answer by this rubric: {expect.rubric}",
            fenced(asked, mark=mark, source="question", provenance="untrusted"),
            fenced(answer, mark=mark, source="answer", provenance="untrusted"),
            f'Answer with JSON alone: {{"points": 0 to {MOST_POINTS}, "reason": "one sentence"}}.',
        )
    )


def verdict(expect: Expectation, parts: Sequence[Part]) -> Score:
    """What the judge said; an answer without points does not pass, and says so."""
    said = _said(parts)
    points = said.get("points") if isinstance(said, dict) else None
    if isinstance(points, bool) or not isinstance(points, (int, float)) or not 0 <= points <= MOST_POINTS:
        return Score(is_passed=False, why="the judge gave no points from 0 to 10")
    return Score(points >= expect.at_least, str(said.get("reason", ""))[:300], float(points))


def _said(parts: Sequence[Part]) -> Any:
    for data in data_of(parts):
        return data
    text = text_of(parts)
    begin, end = text.find("{"), text.rfind("}")
    try:
        return msgspec.json.decode(text[begin : end + 1])
    except UNREADABLE:
        return None
