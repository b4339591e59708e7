"""Errors of the loop.

AgentbusError
├── IllegalStep       a defect of ours: the table has no such transition
└── NotKept           how far a task is could not be stored
"""

from __future__ import annotations

from bus.errors import AuditUnavailable
from bus.tasks.states import StaleTask
from schemas.errors import AgentbusError


class IllegalStep(AgentbusError):
    """The loop took a way that its table does not have. It is a defect: report it with the trail of the conversation."""

    def __init__(self, state: str, trigger: str) -> None:
        super().__init__(f"a conversation in state {state} cannot take the step {trigger}; this is a defect, report it")


class NotKept(AgentbusError):
    """How far a durable task is could not be stored, or not be read. It stops before its next effect."""


ENDS = (AuditUnavailable, NotKept, StaleTask)
"""Of ours, and no refusals: no other try by the model helps."""
