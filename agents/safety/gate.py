"""The one door through which the words of others reach a conversation with a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from schemas.a2a import Message
from schemas.agent import Safety
from schemas.errors import FieldViolation, InvalidArgument

from .fence import fenced, new_mark
from .intake import Intake
from .keys import without_keys
from .provenance import Provenance
from .signals import Signal, look

CALLER: Final = "caller"
OnSignal = Callable[[Signal, str], None]
"""Told of each signal, and whose text it was in: `caller`, or the name of a tool."""


class Gate:
    """The door of one conversation, by the settings of its agent. `on_signal` must neither block nor raise."""

    def __init__(self, settings: Safety, on_signal: OnSignal) -> None:
        self._settings = settings
        self._intake = Intake(settings)
        self._on_signal = on_signal
        self._mark = new_mark()

    def asked(self, message: Message) -> None:
        """Let a caller's message pass.

        Raises:
            InvalidArgument: it is over a limit, or it looks like an instruction to the model and such are refused.
        """
        self._intake.check(message)
        self.seen(message)

    def seen(self, message: Message) -> None:
        """Look at a caller's message, whatever its size.

        Raises:
            InvalidArgument: it looks like an instruction to the model and such are refused.
        """
        if self._looked(message.text(), CALLER) and self._settings.on_signal == "refuse":
            violation = FieldViolation("message.parts", "the text looks like an instruction to the model")
            raise InvalidArgument(
                "this agent takes no text that looks like instructions to it", violations=(violation,)
            )

    def question(self, text: str) -> str:
        """What a caller said, as the model is shown it: a pasted key is taken out."""
        return without_keys(text)

    def found(self, text: str, tool: str, provenance: Provenance = "untrusted") -> str:
        """What a tool found, as the model is shown it: without keys, and between the lines of a fence; our own words stay as they are."""
        if provenance == "trusted":
            return text
        self._looked(text, tool)
        return fenced(without_keys(text), mark=self._mark, source=f"tool {tool}", provenance=provenance)

    def _looked(self, text: str, origin: str) -> bool:
        if self._settings.on_signal == "ignore":
            return False
        signals = look(text)
        for signal in signals:
            self._on_signal(signal, origin)
        return bool(signals)
