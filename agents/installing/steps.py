"""What is done, one step after the other: said before, done, or only said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

type Verb = Literal["build", "write", "link", "remove", "run", "keep"]


@dataclass(frozen=True, slots=True)
class Step:
    """One change: `what` is a path or a command. `keep` changes nothing and says why not in `detail`."""

    verb: Verb
    what: str
    do: Callable[[], object] = lambda: None
    detail: str = ""

    @property
    def shown(self) -> str:
        """A line for people."""
        return f"{self.verb:<7}{self.what}" + (f"  ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, or would be."""

    release: str
    steps: tuple[Step, ...]
    hints: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether anything is different now."""
        return any(step.verb != "keep" for step in self.steps)


def follow(steps: Iterable[Step], say: Callable[[str], None], *, is_dry: bool) -> tuple[Step, ...]:
    """Say each step and do it, unless this is dry."""
    taken = []
    for step in steps:
        say(step.shown)
        if not is_dry:
            step.do()
        taken.append(step)
    return tuple(taken)
