"""A task's updates on a screen: a line for each state, artifacts as they grow."""

from __future__ import annotations

from typing import Self

from agents.cli.shown import state_shown, text_of
from schemas import a2a
from schemas.text import harmless


class Screen:
    """Prints updates in their order. Pieces of one artifact stand behind each other, as the agent gave them."""

    def __init__(self) -> None:
        self._is_inside = False
        """Whether the last thing printed was a piece of an artifact that may go on."""

    def show(self, update: a2a.StreamResponse) -> None:
        """Print one update."""
        if update.task is not None:
            self._status(update.task.status)
            for artifact in update.task.artifacts:
                self._artifact(artifact, is_more=False)
        elif update.status_update is not None:
            self._status(update.status_update.status)
        elif update.artifact_update is not None:
            self._artifact(update.artifact_update.artifact, is_more=update.artifact_update.append)

    def _status(self, status: a2a.TaskStatus) -> None:
        self._end_line()
        remark = text_of(status.message.parts) if status.message is not None else ""
        print(f"{harmless(status.timestamp)}  {state_shown(status.state, 14)}  {remark}".rstrip(), flush=True)

    def _artifact(self, artifact: a2a.Artifact, *, is_more: bool) -> None:
        if not is_more:
            self._end_line()
        print(text_of(artifact.parts), end="", flush=True)
        self._is_inside = True

    def _end_line(self) -> None:
        if self._is_inside:
            print()
        self._is_inside = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_line()
