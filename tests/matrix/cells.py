"""The matrix itself: each key against each rule, as cells with what is declared for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.matrix.powers import API, powers
from tests.matrix.roles import Key, keys
from tests.matrix.rules import Rule, Way, rules


class Act(StrEnum):
    """What is tried."""

    PUBLISH = "publish"
    HEAR = "subscribe"
    CALL = "JetStream API"


class Verdict(StrEnum):
    """What the server did."""

    LET = "let"
    REFUSED = "refused"
    NOBODY = "nobody there"
    ANSWERED = "answered"
    SILENT = "no answer"
    PARTLY = "only in a queue group, or only alone"


@dataclass(frozen=True, slots=True)
class Cell:
    """One key tries one thing."""

    key: str
    act: Act
    subject: str
    declared: Verdict
    way: Way


def cells() -> dict[Key, tuple[Cell, ...]]:
    """All of them, by the key that tries. A subject that two rules come to is tried once, and must be declared alike."""
    return {key: tuple(_unique(key)) for key in keys()}


def _unique(key: Key) -> Iterator[Cell]:
    seen: dict[tuple[Act, str], Cell] = {}
    for rule in (*rules(), *powers()):
        for cell in _cells(key, rule):
            before = seen.setdefault((cell.act, cell.subject), cell)
            assert before.declared == cell.declared, f"declared twice, differently: {before} {cell}"
    yield from seen.values()


def _cells(key: Key, rule: Rule) -> Iterator[Cell]:
    try:
        subject = rule.subject.format_map(key.words)
    except KeyError:
        return  # it is about somebody else
    if not rule.is_pattern:
        act = Act.CALL if subject.startswith(API) else Act.PUBLISH
        yield Cell(key.name, act, subject, _published(key, rule), rule.way)
    yield Cell(key.name, Act.HEAR, subject, Verdict.LET if rule.hear & key.roles else Verdict.REFUSED, rule.way)


def _published(key: Key, rule: Rule) -> Verdict:
    if rule.publish & key.roles:
        return Verdict.ANSWERED if rule.way is Way.ANSWERED else Verdict.LET
    return Verdict.NOBODY if rule.voiceless & key.roles else Verdict.REFUSED
