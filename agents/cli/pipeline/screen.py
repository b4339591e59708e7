"""How a run goes, on standard error: a line for each step, which on a terminal is rewritten while the step works."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from agents.cli.shown import state_name
from agents.pipeline.running import Done
from bus.audit.questions.tree_render import milliseconds
from schemas import a2a
from schemas.pipeline import Pipeline, Step
from schemas.text import harmless
from schemas.usage import Chain, Usage

_NEW_LINE = "\r\x1b[K"


class Screen:
    """Prints to `out`. What agents wrote is made harmless; their answers are not shown here."""

    def __init__(self, pipeline: Pipeline, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._is_live = self._out.isatty() and not os.environ.get("NO_COLOR")
        self._width = max(len(step.id) for step in pipeline.steps)
        self._agents = max(len(step.agent) for step in pipeline.steps)
        self._head = ""
        self._began_s = 0.0

    def run(self, name: str) -> None:
        """The first line."""
        self._line(f"run {name}")

    def began(self, step: Step, round_: int, task: str) -> None:
        """See `Telling`."""
        again = f" (round {round_})" if round_ > 1 else ""
        self._head = f"{step.id:<{self._width}}  {step.agent:<{self._agents}}{again}"
        self._began_s = time.monotonic()
        self._show(f"{self._head}  {harmless(task)}")

    def goes_on(self, task: a2a.Task) -> None:
        """See `Telling`."""
        if task.is_final:
            return
        said = task.status.message.text() if task.status.message else ""
        first = harmless(" ".join(said.split()))[:40]
        self._show(f"{self._head}  {state_name(task.status.state)} {self._seconds}  {first}".rstrip())

    def ended(self, done: Done) -> None:
        """See `Telling`."""
        how = "done before" if done.is_known else f"done in {self._seconds}"
        cost = cost_of(done.usage) if done.usage != Usage() else ""
        self._line(", ".join(filter(None, [f"{self._head}  {how}", cost])))

    def judged(self, step: Step, points: float, round_: int) -> None:
        """See `Telling`."""
        until = step.until
        if until is None:
            return
        if points >= until.at_least:
            self._line(f"{'':<{self._width}}  {points:g} points, {until.at_least:g} are enough")
        elif round_ < until.rounds:
            self._line(f"{'':<{self._width}}  {points:g} points of {until.at_least:g}: again from {until.back_to}")
        else:
            self._line(f"{'':<{self._width}}  {points:g} points of {until.at_least:g}, and no round is left")

    def total(self, finished: Sequence[Done], cost: Chain) -> None:
        """The last line."""
        count = len(finished)
        self._line(f"{count} step{'' if count == 1 else 's'}, {_cost(cost)}")

    def stopped(self) -> None:
        """Leave what is on the screen as it is."""
        if self._is_live and self._head:
            self._out.write("\n")

    @property
    def _seconds(self) -> str:
        return milliseconds((time.monotonic() - self._began_s) * 1000)

    def _show(self, text: str) -> None:
        """What may be written over."""
        if self._is_live:
            self._out.write(f"{_NEW_LINE}{text}")
            self._out.flush()

    def _line(self, text: str) -> None:
        self._out.write(f"{_NEW_LINE if self._is_live else ''}{text}\n")
        self._out.flush()


def cost_of(usage: Usage) -> str:
    """Tokens and money of an answer, with all that was asked for it."""
    return _cost(usage.total)


def _cost(chain: Chain) -> str:
    tokens = f"{_known(chain.input_tokens)}+{_known(chain.output_tokens)} tokens"
    return f"{tokens}, {'an unknown cost' if chain.cost_usd is None else f'{chain.cost_usd.normalize():f} USD'}"


def _known(number: int | None) -> str:
    return "?" if number is None else str(number)
