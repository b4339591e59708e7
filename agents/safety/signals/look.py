"""Looking at a text: which families of injected instructions it resembles."""

from __future__ import annotations

from typing import NamedTuple

from .families import FAMILIES, Family
from .views import views


class Signal(NamedTuple):
    """One resemblance. Nothing of the text is in it."""

    family: Family
    is_disguised: bool
    """It was seen only after a disguise was undone, which ordinary texts seldom need."""


def look(text: str) -> tuple[Signal, ...]:
    """The families that `text` resembles, each once. Bounded: of long texts the beginning and the end are read.

    Not guaranteed: that an injected instruction is found, or that what is found is one.
    """
    found: dict[Family, Signal] = {}
    hides = False
    for number, (view, is_disguised) in enumerate(views(text)):
        seen = [family for family, patterns in FAMILIES.items() if any(pattern.search(view) for pattern in patterns)]
        is_hidden = is_disguised or number > 0
        hides = hides or (is_hidden and bool(seen))
        for family in seen:
            found.setdefault(family, Signal(family, is_hidden))
    if hides:
        found.setdefault("encoded", Signal("encoded", is_disguised=True))
    return tuple(found.values())
