"""`bash`: a command in the sandbox, with the agent's workspace."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from pydantic import Field

from agents import llm
from agents.context import Context
from agents.tools.files.workspace import Workspace
from agents.tools.row import Row
from agents.tools.shell.sandbox import CommandSandbox, told
from agents.tools.shell.unit import SOCKET_VARIABLE, UnitCommands
from approvals.trial.jail import Limits
from schemas.agent import BashSettings
from schemas.documents import Document

_ROOM = 250
"""For what is said of the output."""
_FULL = "\n[the workspace is full: this command could remove files, and write none]"
_DESCRIPTION = (
    "Run a shell command in a sandbox. It begins in /workspace, your workspace, which is all that stays; there is no "
    "network. It gets no input. You are told what it prints and its exit status."
)


class Bash(Document):
    """The command."""

    command: str = Field(min_length=1, max_length=30_000, description="what the shell runs")


def bash_row(settings: BashSettings, workspace: Workspace) -> Row:
    """The tool `bash`."""
    sandbox = _sandbox(settings, workspace)

    async def run(arguments: Any, _: Context) -> str:
        workspace.ensure()
        is_full = await asyncio.to_thread(workspace.is_full, settings.max_workspace_bytes)
        ended = await sandbox.run(arguments.command, settings.max_result_chars - _ROOM, may_write=not is_full)
        return f"{told(ended)}{_FULL * is_full}"

    return Row(llm.Tool(name="bash", description=_DESCRIPTION, input=Bash), run, has_effects=True, ends_itself=True)


def _sandbox(settings: BashSettings, workspace: Workspace) -> CommandSandbox | UnitCommands:
    """A unit of its own for each command where the agent's unit names the socket of one; namespaces elsewhere."""
    socket = os.environ.get(SOCKET_VARIABLE, "")
    if socket:
        return UnitCommands(workspace, _limits(settings), Path(socket))
    return CommandSandbox(workspace.root, _limits(settings))


def _limits(settings: BashSettings) -> Limits:
    return Limits(
        seconds=settings.timeout_s,
        memory_bytes=settings.memory_mb << 20,
        processes=settings.processes,
        file_bytes=settings.file_mb << 20,
    )
