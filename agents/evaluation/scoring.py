"""Scoring an answer without asking anybody: exact, contains, matches. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from schemas.a2a import Part
from schemas.evaluation import Expectation
from schemas.json_schema import JsonSchema


class Score(NamedTuple):
    """Whether an answer passes, and why not. `points`, of 10, where a judge gave some."""

    is_passed: bool
    why: str = ""
    points: float | None = None


def text_of(parts: Sequence[Part]) -> str:
    """The texts of an answer, a line each."""
    return "\n".join(part.text for part in parts if isinstance(part.text, str))


def data_of(parts: Sequence[Part]) -> tuple[Any, ...]:
    """The data of an answer."""
    return tuple(part.data for part in parts if part.data is not UNSET)


def score(expect: Expectation, parts: Sequence[Part]) -> Score:
    """How an answer does by an expectation that needs no judge.

    Raises:
        ValueError: it needs one.
    """
    if expect.rubric:
        raise ValueError("a rubric is for a judge")
    return next(check for wanted, check in _checks(expect) if wanted)(expect, parts)


_Check = Callable[[Expectation, Sequence[Part]], Score]


def _checks(expect: Expectation) -> tuple[tuple[bool, _Check], ...]:
    return ((expect.matches is not None, _matches), (bool(expect.contains), _contains), (True, _exact))


def _exact(expect: Expectation, parts: Sequence[Part]) -> Score:
    wanted = expect.exact
    found: Any = text_of(parts) if isinstance(wanted, str) else (data_of(parts) or (None,))[0]
    is_same = found.strip() == wanted.strip() if isinstance(wanted, str) else _same(found, wanted)
    return Score(is_same, "" if is_same else "the answer is another one")


def _same(one: Any, other: Any) -> bool:
    # in JSON true is no number, in Python it is 1
    return one == other and (isinstance(one, bool) == isinstance(other, bool))


def _contains(expect: Expectation, parts: Sequence[Part]) -> Score:
    text = text_of(parts).casefold()
    missing = [wanted for wanted in expect.contains if wanted.casefold() not in text]
    return Score(not missing, f"not in the answer: {', '.join(map(repr, missing))}" if missing else "")


def _matches(expect: Expectation, parts: Sequence[Part]) -> Score:
    data = data_of(parts)
    if not data:
        return Score(is_passed=False, why="the answer has no data")
    wrong = JsonSchema(expect.matches or {}).violations(data[0], "data")
    return Score(not wrong, f"{wrong[0].field}: {wrong[0].description}" if wrong else "")


MOST_POINTS: Final = 10
