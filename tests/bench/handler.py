"""The skills of the agent that is measured: it lies in the agent's folder of the bench's fleet."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from agents.skill import Context, skill


class CountInput(msgspec.Struct):
    """A text."""

    text: str


class Counts(msgspec.Struct):
    """What was counted in it."""

    words: int
    characters: int


@skill(description="Counts words.", id="count")
async def count(request: CountInput, ctx: Context) -> Counts:
    """As cheap as a skill can be: what is measured is the way to it."""
    return Counts(len(request.text.split()), len(request.text))


@skill(description="Tells so many words, one by one.", id="tell")
async def tell(request: str, ctx: Context) -> AsyncIterator[str]:
    """An answer in pieces."""
    for number in range(int(request)):
        yield f"w{number} "


SKILLS = [count, tell]
