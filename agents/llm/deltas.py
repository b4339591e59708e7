"""An answer as it comes: pieces of text, then the whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from .conversation import Answer
from .errors import Cause


class TextDelta(msgspec.Struct, frozen=True):
    """The next piece of the text."""

    text: str


class Finished(msgspec.Struct, frozen=True):
    """The whole answer; the last that comes. Its text is all pieces since the beginning or the last `SwitchedOver`."""

    answer: Answer


class SwitchedOver(msgspec.Struct, frozen=True):
    """Another model answers from the start: the text that came before is void. `cause` is why the one before failed."""

    provider: str
    model: str
    cause: Cause


Delta = TextDelta | Finished
PoolDelta = TextDelta | SwitchedOver | Finished


async def whole_of(deltas: AsyncGenerator[Delta] | AsyncGenerator[PoolDelta]) -> Answer:
    """The whole answer, for those who do not want the pieces. Raises what the generator raises."""
    async with aclosing(deltas):
        (answer,) = [delta.answer async for delta in deltas if isinstance(delta, Finished)]
    return answer
