"""What the model calls below each piece of work come to: tokens and money, as far as they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bus.audit.questions.tree import Node

NAMES: Final = ("input_tokens", "output_tokens", "cost_usd")


@dataclass(slots=True)
class Sums:
    """Of the model calls in a part of the tree: what each told is added up, and how many told nothing is counted."""

    calls: int = 0
    known: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NAMES, 0.0))
    untold: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))

    def add(self, other: Sums) -> None:
        """Take in those of another part."""
        self.calls += other.calls
        for name in NAMES:
            self.known[name] += other.known[name]
            self.untold[name] += other.untold[name]

    def shown(self, name: str) -> str:
        """The sum of one of them; `?` behind it where a call did not say."""
        return f"{round(self.known[name], 6):g}" + ("?" if self.untold[name] else "")

    @property
    def has_cost(self) -> bool:
        """Whether any call told what it did cost."""
        return self.untold["cost_usd"] < self.calls

    def __str__(self) -> str:
        tokens = f"{self.shown('input_tokens')}+{self.shown('output_tokens')} tokens"
        return tokens + (f", {self.shown('cost_usd')} USD" if self.has_cost else "")

    def row(self) -> dict[str, float | int]:
        """For a machine; `untold` is how many calls did not say what they did cost."""
        whole = {name: int(self.known[name]) for name in NAMES[:2]}
        return {"model_calls": self.calls, **whole, "cost_usd": round(self.known["cost_usd"], 9),
                "untold": self.untold["cost_usd"]}  # fmt: skip


def sums_of(roots: Sequence[Node]) -> dict[int, Sums]:
    """By the identity of each node, those of it and of all below it."""
    order: list[Node] = []
    stack = list(roots)
    while stack:
        node = stack.pop()
        order.append(node)
        stack += node.children
    found = {id(node): _own(node) for node in order}
    for node in reversed(order):  # children before what caused them
        for child in node.children:
            found[id(node)].add(found[id(child)])
    return found


def _own(node: Node) -> Sums:
    sums = Sums()
    if node.kind != "model":
        return sums
    sums.calls = 1
    for name in NAMES:
        said = node.facts.get(name)
        if isinstance(said, int | float) and not isinstance(said, bool):
            sums.known[name] = said
        else:
            sums.untold[name] = 1
    return sums
