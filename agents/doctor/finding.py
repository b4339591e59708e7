"""What one look found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. A warning may be meant so; a failure is not."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and what to do about it. `fix` is a command or a step; empty when all is well."""

    level: Level
    says: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """A finding and the check that made it. `check` is stable: machines may go by it."""

    area: str
    check: str
    finding: Finding


def fine(says: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, says)


def doubtful(says: str, fix: str) -> Finding:
    """It may be meant so, or cannot be told from here."""
    return Finding(Level.WARNING, says, fix)


def wrong(says: str, fix: str) -> Finding:
    """It is broken, unsafe, or will be."""
    return Finding(Level.FAILURE, says, fix)


def one_line(count: int, what: str, first: str) -> str:
    """`what` of `first`, and how many more."""
    return f"{what}: {first}" + (f", and {count - 1} more" if count > 1 else "")
