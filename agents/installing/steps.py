"""What is done, one step after the other: said before, done, or only said."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from .errors import StepFailed

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


def _reason(error: OSError) -> str:
    """In a line; of a folder that was copied, what the first file met."""
    if isinstance(error, shutil.Error):
        return str(error.args[0][0][-1])
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def follow(steps: Iterable[Step], say: Callable[[str], None], *, is_dry: bool) -> tuple[Step, ...]:
    """Say each step and do it, unless this is dry.

    Raises:
        StepFailed: the system refused one, as on a full disk. InstallError: what else a step says.
    """
    taken = []
    for step in steps:
        say(step.shown)
        try:
            if not is_dry:
                step.do()
        except OSError as error:
            raise StepFailed(f"{step.shown}\n{_reason(error)}; the same command does what is left") from None
        taken.append(step)
    return tuple(taken)
