"""What a task keeps of its first run, so that it is taken up again without its caller: kept in its metadata."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

import msgspec

from agents.changes import Asked
from bus import trace
from bus.inbound import Call
from schemas import a2a, names


class Continuation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What it has asked to change, and what its requests carry on. Its caller can read it, and sent the rest itself.

    The deadline is not in it: no caller's clock runs while people decide.
    """

    asked: tuple[Asked, ...]
    correlation: str = ""
    chain: str = ""
    extensions: str = ""
    budget: Decimal | None = None

    @classmethod
    def of(cls, task: a2a.Task) -> Self | None:
        """That of `task`; None where it never asked for a change."""
        kept = task.metadata.get(names.CHANGES_KEY)
        return msgspec.convert(kept, cls) if kept else None

    def on(self, task: a2a.Task) -> a2a.Task:
        """The task with it."""
        kept = {**task.metadata, names.CHANGES_KEY: msgspec.to_builtins(self)}
        return msgspec.structs.replace(task, metadata=kept)

    def call(self, agent: str, caller: str) -> Call:
        """The call that the next run is made for: the caller is the one that the task's place names."""
        here = trace.of_conversation(self.correlation) or trace.new_trace()
        return Call(
            agent, caller, "SendMessage", "", b"", here, None,
            extensions=self.extensions, chain=self.chain, budget=self.budget,
        )  # fmt: skip


def asked_in(task: a2a.Task) -> tuple[Asked, ...]:
    """What the task has asked to change."""
    kept = Continuation.of(task)
    return kept.asked if kept else ()
