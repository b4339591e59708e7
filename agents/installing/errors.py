"""Why the program was not installed, or not taken away.

AgentbusError
└── InstallError
    ├── NotPermitted      only root may write where it goes
    ├── NotPossible       this machine, or where the command runs from, lacks something
    ├── UnsafePlace       somebody else chooses where files go, or what they are: a link, a folder that is not root's
    ├── StepFailed        the system refused a step: a full disk, a read-only one
    └── CommandFailed     a program that was needed ended badly; what it said is in the message
"""

from __future__ import annotations

from schemas.errors import AgentbusError


class InstallError(AgentbusError):
    """Nothing of ours is half in place: a release is used only when it is whole."""


class NotPermitted(InstallError):
    """Only root may write there."""


class NotPossible(InstallError):
    """What is needed is not here; the message says what to do."""


class UnsafePlace(InstallError):
    """A file would have gone where a link points, or where somebody else may change it."""


class StepFailed(InstallError):
    """The system refused; with room, or what else it lacks, the same command goes on."""


class CommandFailed(InstallError):
    """A program that was needed ended badly."""
