"""How a conversation looks: for a person at a terminal, for a pipe, and for a program."""

from __future__ import annotations

import sys
from typing import Any, Final, Protocol

from agents.cli.chat.dialogue import Answer, text_in
from agents.cli.shown import in_lines, is_colourful, said, state_name
from schemas import a2a, names, protojson
from schemas.errors import A2AError
from schemas.text import harmless

_GREEN, _YELLOW, _RED, _DIM, _BOLD = "32", "33", "31", "2", "1"
_BAR: Final = 20
_LEVELS: Final = ((70, _GREEN), (90, _YELLOW))
"""Below so many percent of the window, which colour."""


def coloured(text: str, colour: str) -> str:
    """In colour where a person looks who did not say no."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and is_colourful() else text


def context_bar(used: int, window: int) -> str:
    """How full the window is: green below 70 %, yellow below 90 %, red from there on."""
    percent = 100 * used / window
    colour = next((colour for limit, colour in _LEVELS if percent < limit), _RED)
    filled = min(_BAR, round(_BAR * used / window))
    bar = coloured("█" * filled, colour) + coloured("░" * (_BAR - filled), _DIM)
    return f"context {bar} {coloured(f'{percent:.0f} %', colour)} of {window:,} tokens"


def bar_of(answer: Answer) -> str:
    """The bar that an answer's metadata tell of; empty when they tell nothing."""
    found = answer.metadata.get(names.MEMORY_KEY)
    used, window = (found.get("context_used"), found.get("context_window")) if isinstance(found, dict) else (0, 0)
    return context_bar(used, window) if type(used) is int and type(window) is int and used >= 0 < window else ""


class Screen(Protocol):
    """Shows what happens."""

    def prompt(self) -> None:
        """It is the person's turn."""

    def show(self, update: a2a.StreamResponse) -> None:
        """A piece of an answer."""

    def end(self, answer: Answer) -> None:
        """The answer has ended."""

    def failed(self, error: A2AError) -> None:
        """There is none."""

    def note(self, text: str) -> None:
        """What the program itself says."""


class Plain:
    """Answers alone on standard output, each when it is whole, since a piece may turn out void; all else on standard error."""

    def prompt(self) -> None:
        """Nobody is there to be asked."""

    def show(self, update: a2a.StreamResponse) -> None:
        """Nobody looks."""

    def end(self, answer: Answer) -> None:
        """The answer; how it ended, where it is none."""
        if answer.state in {a2a.COMPLETED, a2a.INPUT_REQUIRED}:
            print(harmless(answer.text, keep="\n\t"), flush=True)
        else:
            self.note(_end_of(answer))

    def failed(self, error: A2AError) -> None:
        """As every command says it."""
        self.note(said(error))

    def note(self, text: str) -> None:
        """On standard error."""
        print(f"agentbus: {text}", file=sys.stderr, flush=True)


class Terminal:
    """For a person: a prompt, answers as they come, what the agent does meanwhile, and how full its window is."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._at = ""
        """The artifact whose text stands last."""
        self._is_inside = False
        """Whether that line may go on."""

    def prompt(self) -> None:
        """In front of what is typed."""
        print(coloured("> ", _BOLD), end="", flush=True)

    def show(self, update: a2a.StreamResponse) -> None:
        """Text at once; what the agent says of its work in a dim line."""
        if update.message is not None:
            self._text(update.message.message_id, update.message.text(), is_more=False)
        elif update.artifact_update is not None:
            piece = update.artifact_update
            self._text(piece.artifact.artifact_id, text_in(piece.artifact), is_more=piece.append)
        elif update.task is not None:
            for artifact in update.task.artifacts:
                self._text(artifact.artifact_id, text_in(artifact), is_more=False)
        elif update.status_update is not None:
            status = update.status_update.status
            if status.state == a2a.WORKING and status.message is not None:
                self.note(harmless(status.message.text()))

    def end(self, answer: Answer) -> None:
        """The line's end, how it ended where that is not plain, and the bar."""
        self._end_line()
        self._at = ""
        if answer.state == a2a.INPUT_REQUIRED:
            print(harmless(answer.remark, keep="\n\t"), flush=True)
        elif answer.state != a2a.COMPLETED:
            print(coloured(_end_of(answer), _RED), flush=True)
        if bar := bar_of(answer):
            print(bar, flush=True)

    def failed(self, error: A2AError) -> None:
        """In red."""
        self._end_line()
        print(coloured(f"{self._agent}: {said(error)}", _RED), flush=True)

    def note(self, text: str) -> None:
        """Beside the conversation."""
        self._end_line()
        print(coloured(text, _DIM), flush=True)

    def _text(self, artifact: str, text: str, *, is_more: bool) -> None:
        if artifact == self._at and not is_more:
            self.note("(it begins anew; what stands above is void)")
        elif artifact != self._at:
            self._end_line()
        self._at, self._is_inside = artifact, True
        print(harmless(text, keep="\n\t"), end="", flush=True)

    def _end_line(self) -> None:
        if self._is_inside:
            print(flush=True)
        self._is_inside = False


class Lines:
    """One JSON object a line: each update as a StreamResponse of A2A, each error as its error object, notes as `{"note": …}`."""

    def prompt(self) -> None:
        """Programs need none."""

    def show(self, update: a2a.StreamResponse) -> None:
        """As it came."""
        _line(update)

    def end(self, answer: Answer) -> None:
        """The whole answer: `{"answer": {"task", "state", "text", "metadata"}}`."""
        state = state_name(answer.state or "unknown")
        _line({"answer": {"task": answer.task, "state": state, "text": answer.text, "metadata": answer.metadata}})

    def failed(self, error: A2AError) -> None:
        """As it is on the wire."""
        _line(error.to_body())

    def note(self, text: str) -> None:
        """What the program itself says."""
        _line({"note": text})


def _end_of(answer: Answer) -> str:
    return f"{state_name(answer.state or 'unknown')}: {in_lines(answer.remark)}"


def _line(value: Any) -> None:
    print(protojson.encode(value).decode(), flush=True)
