"""Answers that are given again to the very same question. In memory, bounded, and only where the file asks for it.

The same question is the same prompt, turns, tools and limit, to the byte; who asks is no part of it, so
what makes answers differ by caller belongs into the conversation.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from agents.llm.conversation import Answer, Completion, Usage
from agents.llm.prices import FREE
from schemas.agent import ModelChoice, ResponseCache

from .report import CallReport

_FREE = Usage(input_tokens=0, output_tokens=0)


class Kept(msgspec.Struct, frozen=True):
    """An answer, who gave it, and until when it is given again."""

    answer: Answer
    choice: ModelChoice
    until: float

    def report(self) -> CallReport:
        """That it was given again: nobody was called, and it cost nothing."""
        return CallReport(
            provider=self.choice.provider, model=self.choice.model, outcome="success", duration_ms=0.0,
            reason="cached", usage=self.answer.usage, cost_usd=FREE,
        )  # fmt: skip


class Answers:
    """The answers of one pool, the one that was not wanted for longest thrown out first."""

    def __init__(self, settings: ResponseCache, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def find(self, completion: Completion) -> Kept | None:
        """The answer to this question, free of charge; None where there is none, or it is too old."""
        key = digest(completion)
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= self._now():
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return kept

    def keep(self, completion: Completion, answer: Answer, choice: ModelChoice) -> None:
        """Keep a whole answer; one that was cut by its limit is not kept."""
        if answer.stop_reason == "length":
            return
        free = msgspec.structs.replace(answer, usage=_FREE)
        self._kept[digest(completion)] = Kept(free, choice, self._now() + self._settings.ttl_s)
        while len(self._kept) > self._settings.max_entries:
            self._kept.popitem(last=False)


def digest(completion: Completion) -> bytes:
    """SHA-256 of all that the models are told, and of how long the answer may be."""
    told = (completion.system.text, completion.turns, completion.tools, completion.max_tokens)
    return hashlib.sha256(msgspec.json.encode(told)).digest()
