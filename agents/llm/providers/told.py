"""A provider whose answers are made in this process: told word by word, with nothing to count, to look for or to close."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from agents.llm.conversation import Answer, Completion
from agents.llm.deltas import Delta, Finished, TextDelta

_PIECE = re.compile(r"\S+\s*|\s+")


class ToldProvider:
    """See `Provider`. What it says is `answer`."""

    def answer(self, completion: Completion) -> Answer:
        """What it says to this conversation."""
        raise NotImplementedError

    async def stream(self, completion: Completion) -> AsyncGenerator[Delta]:
        """See `Provider`. Raises as `answer`."""
        answer = self.answer(completion)
        for piece in _PIECE.findall(answer.text):
            yield TextDelta(piece)
        yield Finished(answer)

    async def count(self, _: Completion, /) -> int | None:
        """It counts nothing."""
        return None

    async def probe(self, timeout_s: float) -> None:
        """It is always there."""

    async def close(self) -> None:
        """Nothing is open."""
