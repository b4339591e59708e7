"""What is said over the socket of `agent-tool@.service`: one JSON line each way, then a tar of the workspace."""

from __future__ import annotations

from typing import Final

import msgspec

LONGEST_S: Final = 50.0
"""How long a command in the unit may take; the unit itself ends after `RuntimeMaxSec=`."""
LONGEST_LINE: Final = 1 << 20


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From the agent: the command, and how much it may use besides what the unit allows."""

    command: str
    seconds: float
    memory_bytes: int
    processes: int
    file_bytes: int
    max_output: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From the unit: `status` is None where the command was stopped, and `why` says why.

    `has_files`: the files follow; without them the workspace is as it was.
    """

    status: int | None
    output: str
    why: str = ""
    has_files: bool = True
