"""Errors of tools. Each reaches the model as the call's result, so its text says what would be right.

    AgentbusError
    ├── ToolUnusable     the agent's file names a tool that cannot be had: the operator's to fix, before the start
    └── ToolError        a call did not do what was asked
        ├── ToolRefused      the agent's file, or people, do not allow this call; nothing was done
        ├── ToolFailed       it was tried and could not be done
        │   └── ToolAway         because what the tool stands on is away, or does not work
        └── ToolLate         it did not end in time: what it did until then is done

No message holds a secret. What somebody else said of a failure stands in no message but in `found`, which the loop fences.
"""

from __future__ import annotations

from typing import ClassVar

from schemas.errors import AgentbusError


class ToolUnusable(AgentbusError):
    """A tool that the file names is not there, or cannot work on this machine."""


def told_of(name: str, error: ToolUnusable) -> str:
    """What is wrong, to be said beside the tool's own key of the file."""
    return str(error).removeprefix("tools: ").removeprefix(f"tools.{name}.").removeprefix(f"{name}: ")


class ToolError(AgentbusError):
    """A call that did not do what was asked; the model may try something else.

    The text may repeat what the model wrote, so the trail gets `word` instead.
    """

    word: ClassVar[str] = "failed"
    found: str
    """What was found all the same, in words of others: the model is shown it as it is shown a result."""
    is_outage: ClassVar[bool] = False
    """What the tool stands on is away or does not work, so that other calls of it are likely to fail too. Such a tool
    is left alone for a while (`resilience.breaker`)."""

    def __init__(self, advice: str, found: str = "") -> None:
        super().__init__(advice)
        self.found = found


class ToolRefused(ToolError):
    """This call is not allowed. The same arguments again are refused again."""

    word = "refused"


class ToolFailed(ToolError):
    """It could not be done."""


class ToolAway(ToolFailed):
    """What it stands on is away, or does not work: whoever calls it next is likely to hear the same."""

    word, is_outage = "away", True


class ToolLate(ToolError):
    """It took too long and was ended."""

    word, is_outage = "too late", True
