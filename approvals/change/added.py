"""The lines that a change adds: what is looked at for hints to reviewers and for secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from approvals.change.kinds import Contents


class Line(NamedTuple):
    """One added line, numbered from 1 as in the new file."""

    path: str
    number: int
    text: str


def added_lines(before: Contents, after: Contents) -> Iterator[Line]:
    """The lines of `after` that the same file of `before` has not, or has fewer of; by path, in order.

    A line that only moved is not among them. Lines end at a line feed alone, as in a diff.
    """
    for path in sorted(after):
        old = Counter(_lines(before.get(path)))
        for number, text in enumerate(_lines(after[path]), 1):
            if old[text] > 0:
                old[text] -= 1
            else:
                yield Line(path, number, text)


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode("utf-8", "replace").split("\n")
