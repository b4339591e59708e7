"""The commands of the operator's page, in order, with what they print."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.harness.systemd_units import UNITS

_SECTION = re.compile(r"^## Two commands on a bare server\n(.*?)^## ", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^# ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Typed:
    """A command, and what the page says that it prints; nothing where the page shows nothing."""

    command: str
    printed: str

    def is_answered_by(self, output: str) -> bool:
        """Whether the output has what the page says; `…` stands for anything."""
        return re.search(re.escape(self.printed.strip()).replace("…", ".*?"), output, re.DOTALL) is not None


def typed() -> list[list[Typed]]:
    """The console blocks of the page's first section: the first one puts the program there, the others use it."""
    (section,) = _SECTION.findall((UNITS / "README.md").read_text())
    return [[_typed(piece) for piece in _PROMPT.split(block)[1:]] for block in _BLOCK.findall(section)]


def _typed(piece: str) -> Typed:
    command, _, printed = piece.partition("\n")
    return Typed(command, printed)
