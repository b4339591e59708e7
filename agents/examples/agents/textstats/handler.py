"""Counts words and characters."""

from typing import Annotated

import msgspec

from agents.skill import Context, skill


class CountInput(msgspec.Struct):
    """A text, and how many of its longest words to name."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]
    longest: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3


class Counts(msgspec.Struct):
    """What was counted."""

    words: int
    characters: int
    longest: list[str]


@skill(description="Counts words and characters and names the longest words.", tags=["text", "statistics"])
async def count(request: CountInput, ctx: Context) -> Counts:  # noqa: ARG001  every skill gets a context
    """Split at white space; the longest words come first, ties in the order of the text."""
    words = request.text.split()
    longest = sorted(dict.fromkeys(words), key=len, reverse=True)[: request.longest]
    return Counts(words=len(words), characters=len(request.text), longest=longest)
