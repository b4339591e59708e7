"""An agent as a proposal would make it: its file, read from a copy of the fleet's repository. None of its code runs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from agents.runtime.loading.agent_folder import read_folder
from approvals.errors import GitFailed
from approvals.git import Git
from schemas.agent import AgentFile
from schemas.approvals import Proposal
from schemas.errors import InvalidDocument


def proposed_file(git: Git, proposal: Proposal, environment: Mapping[str, str]) -> AgentFile:
    """What the agent's file would say. Its variables come from `environment`.

    Raises:
        InvalidDocument: the proposal changes no agent with a model, or cannot be applied, or the file would be wrong.
    """
    if proposal.is_of_fleet or not proposal.agent:
        raise InvalidDocument("the proposal changes no agent's folder, so there is nothing to evaluate")
    with git.scratch() as scratch, tempfile.TemporaryDirectory(prefix="agentbus-proposed-") as folder:
        try:
            scratch.run("read-tree", scratch.apply(proposal.base, proposal.diff))
            scratch.over(Path(folder)).run("checkout-index", "--all")
        except GitFailed as error:
            raise InvalidDocument(f"the proposal does not apply to what it was made from: {error}") from None
        file = read_folder(Path(folder), environment).file
    if file.llm is None:
        raise InvalidDocument(
            f"{proposal.agent} has a handler: what it would do is code that nobody approved yet, and is not run here; "
            "its own tests run in a sandbox"
        )
    return file
