"""Errors of the loop.

AgentbusError
├── IllegalStep       a defect of ours: the table has no such transition
└── ToolTimedOut      a tool was stopped at its limit; told to the model, which may do something else
"""

from __future__ import annotations

from schemas.errors import AgentbusError


class IllegalStep(AgentbusError):
    """The loop took a way that its table does not have. It is a defect: report it with the trail of the conversation."""

    def __init__(self, state: str, trigger: str) -> None:
        super().__init__(f"a conversation in state {state} cannot take the step {trigger}; this is a defect, report it")


class ToolTimedOut(AgentbusError):
    """A tool took longer than it may and was stopped. What it had begun may be done."""

    def __init__(self, tool: str, limit_s: float) -> None:
        super().__init__(
            f"{tool} was stopped after {limit_s:g} s; what it had begun may be done, so check before you repeat it"
        )
