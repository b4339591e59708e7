"""The tools that come with the product: by name, how each is made from what the agent's file says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import llm
from agents.routing import ask_agent
from agents.tools import propose_change
from agents.tools.errors import ToolUnusable
from agents.tools.files.tools import edit_row, read_row, write_row
from agents.tools.files.workspace import Workspace
from agents.tools.row import Row
from agents.tools.shell.tool import bash_row
from agents.tools.web.http_request import http_row
from agents.tools.web.search import search_row

NOWHERE = Path("/nonexistent")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent's tools work: `folder` is the release that runs, `state` the folder that the process writes to.

    Where nothing runs, and the tools are only looked at, `state` is a folder that is never made.
    """

    folder: Path
    state: Path = NOWHERE

    @property
    def workspace(self) -> Workspace:
        """The folder in which models may read and write."""
        return Workspace(self.state)


Maker = Callable[[Any, Place], Row]
"""Takes the tool's own kind of settings. Raises ToolUnusable: it cannot work here."""


def _propose_change(settings: Any, _place: Place) -> Row:
    if settings.approval == "always":
        raise ToolUnusable("tools.propose_change.approval: people decide about every change anyway; leave it out")
    return Row(
        llm.Tool(name=propose_change.NAME, description=propose_change.DESCRIPTION, input=propose_change.ProposeChange),
        propose_change.propose_change,
        has_effects=True,
        provenance="trusted",
    )


MAKERS: dict[str, Maker] = {
    "read": lambda settings, place: read_row(settings, place.workspace),
    "write": lambda settings, place: write_row(settings, place.workspace),
    "edit": lambda settings, place: edit_row(settings, place.workspace),
    "bash": lambda settings, place: bash_row(settings, place.workspace),
    ask_agent.NAME: lambda settings, _: ask_agent.row_of(settings),
    "http_request": lambda settings, _: http_row(settings),
    "web_search": lambda settings, _: search_row(settings),
    propose_change.NAME: _propose_change,
}
