"""Errors of the approvals layer.

AgentbusError
├── GitFailed          git refused; the operator's repository is not as expected
├── CannotPropose      the change cannot be built: the proposer's to fix
├── ProposalNotFound   there is none of that id, or it is not the asker's to read
└── IllegalStep        the state machine has no such transition; nothing was changed
"""

from __future__ import annotations

from schemas.errors import AgentbusError


class GitFailed(AgentbusError):
    """A git command ended with an error; the message is its first line."""


class CannotPropose(AgentbusError):
    """What was asked for is not a change that could be reviewed."""


class ProposalNotFound(AgentbusError):
    """The id is not one of a proposal that this proposer may read: `agentbus proposals list --all` has those."""


class IllegalStep(AgentbusError):
    """A vote or outcome that the proposal's state does not allow."""
