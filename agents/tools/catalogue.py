"""The tools that come with the product: by name, how each is made from what the agent's file says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import llm
from agents.tools import propose_change
from agents.tools.row import Row


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent's tools work: `folder` is the release that runs, `state` the folder that the process writes to.

    Without `state` there is no process, and tools that need it are not run but looked at.
    """

    folder: Path
    state: Path | None = None


Maker = Callable[[Any, Place], Row]
"""Takes the tool's own kind of settings. Raises ToolUnusable: it cannot work here."""


def _propose_change(_settings: Any, _place: Place) -> Row:
    return Row(
        llm.Tool(name=propose_change.NAME, description=propose_change.DESCRIPTION, input=propose_change.ProposeChange),
        propose_change.propose_change,
        has_effects=True,
        provenance="trusted",
    )


MAKERS: dict[str, Maker] = {
    propose_change.NAME: _propose_change,
}
