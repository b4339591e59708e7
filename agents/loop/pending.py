"""The calls of one turn of a model: those that wait, those that have begun, those that have a result."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from agents.llm import ToolCall, ToolResult

UNKNOWN = "outcome unknown: it had begun when the process that ran it ended; check what it did before you repeat it"


class Pending:
    """The calls in the model's order. Calls are told apart by their place: a model may give two of them one id."""

    def __init__(
        self,
        calls: Sequence[ToolCall] = (),
        results: Sequence[ToolResult | None] = (),
        begun: Sequence[int] = (),
    ) -> None:
        self._calls = tuple(calls)
        self._places = {id(call): place for place, call in enumerate(self._calls)}
        self._results: list[ToolResult | None] = [*results, *[None] * (len(self._calls) - len(results))]
        self._begun = set(begun)
        self._lost = frozenset(begun)
        """Begun by a process that is gone."""
        self.waiting = deque(self._calls)

    @property
    def names(self) -> tuple[str, ...]:
        """The tools that are called, in order."""
        return tuple(call.name for call in self._calls)

    @property
    def results(self) -> tuple[ToolResult | None, ...]:
        """By place; None where there is none yet."""
        return tuple(self._results)

    @property
    def begun(self) -> tuple[int, ...]:
        """The places of calls with effects that have begun and have no result."""
        return tuple(sorted(place for place in self._begun if self._results[place] is None))

    def known(self, call: ToolCall) -> ToolResult | None:
        """The result of a call that is not to run: it has run, or nobody knows whether it has."""
        place = self._places[id(call)]
        if self._results[place] is None and place in self._lost:
            self._results[place] = ToolResult(
                call_id=call.id, name=call.name, text=f"{call.name}: {UNKNOWN}", is_error=True
            )
        return self._results[place]

    def begin(self, call: ToolCall) -> None:
        """It is about to have effects."""
        self._begun.add(self._places[id(call)])

    def take_back(self, call: ToolCall) -> None:
        """It has had no effect that is not kept elsewhere: it asked people, or the caller."""
        self._begun.discard(self._places[id(call)])

    def end(self, call: ToolCall, result: ToolResult) -> bool:
        """It has ended; whether it had begun, so that its end has to be written down at once."""
        place = self._places[id(call)]
        self._results[place] = result
        return place in self._begun

    def whole(self) -> tuple[ToolResult, ...]:
        """The results of all calls, each of which has one."""
        return tuple(result for result in self._results if result is not None)
