"""Errors of pipelines. Each says how the run goes on.

AgentbusError
├── RunTaken        another process is at this run
├── RunUnlike       the run was begun with another file, or there is no such run: its author's to put right
├── StepFailed      an agent's task ended otherwise than completed; the run can be resumed, which tries again
├── StepWaits       an agent waits for its caller, or for people; the run can be resumed when that is done
└── NotGoodEnough   the judge's last round had too few points
"""

from __future__ import annotations

from schemas.errors import AgentbusError, InvalidDocument


class RunTaken(AgentbusError):
    """A run is one process's at a time."""


class RunUnlike(InvalidDocument):
    """What is given is not what the run was begun with."""


class StepFailed(AgentbusError):
    """A step came to no answer."""


class StepWaits(AgentbusError):
    """A step cannot go on by itself."""


class NotGoodEnough(AgentbusError):
    """Too few points in the last round; `output` is what there is."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output
