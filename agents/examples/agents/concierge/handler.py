"""Asks two other agents; deadline, trace and correlation are carried on by the context."""

import msgspec

from agents.skill import Context, skill


class CountInput(msgspec.Struct):
    """What textstats takes; only the fields used here."""

    text: str


class Counts(msgspec.Struct):
    """What textstats gives; only the fields used here."""

    words: int


@skill(description="Has a guest greeted and measures the greeting.", tags=["greeting"], examples=["hello"])
async def welcome(request: str, ctx: Context) -> str:
    """Greeting first, then its length in words."""
    greeting = await ctx.ask("greeter", request)
    counts = await ctx.ask("textstats", CountInput(text=greeting), Counts, skill="count")
    return f"{greeting} ({counts.words} words)"
