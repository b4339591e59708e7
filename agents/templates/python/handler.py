"""Numbers in, what they come to out. The types are the contract: they stand in the agent's card as JSON Schemas."""

import statistics
from typing import Annotated

import msgspec

from agents.skill import Context, skill


class Numbers(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked: at least one number, at most ten thousand."""

    numbers: Annotated[list[float], msgspec.Meta(min_length=1, max_length=10_000)]


class Summary(msgspec.Struct):
    """What they come to."""

    count: int
    mean: float
    smallest: float
    largest: float


@skill(description="Says how many numbers there are, their mean, and the smallest and largest.", tags=["numbers"])
async def summarise(request: Numbers, ctx: Context) -> Summary:
    """What does not match `Numbers` is refused before this runs."""
    values = request.numbers
    await ctx.progress(f"looking at {len(values)} numbers")
    return Summary(len(values), statistics.fmean(values), min(values), max(values))
