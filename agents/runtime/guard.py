"""What stands between the words of others and one conversation with a model: the gate, told on the trail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from agents.context import Context
from agents.llm import Turn, UserTurn
from agents.safety import Gate
from agents.safety.signals import Signal
from agents.tools.toolbox import Toolbox
from bus.audit.emit import Audit
from schemas.agent import Safety

RunTool = Callable[[str, Any], Awaitable[str]]


class Guard:
    """The gate of one request or task."""

    def __init__(self, settings: Safety, toolbox: Toolbox, context: Context, audit: Audit) -> None:
        self._toolbox = toolbox
        self._context = context
        self._audit = audit
        self._gate = Gate(settings, self._tell)

    def admit(self) -> None:
        """Let the caller's message pass, with all that was added to its task.

        Raises:
            InvalidArgument: a message is over a limit, or is refused as an instruction to the model.
        """
        for message in self._context.history:
            if message.role == "ROLE_USER":
                self._gate.asked(message)

    def turns(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """What was said, as the model is shown it."""
        return tuple(
            msgspec.structs.replace(turn, text=self._gate.question(turn.text)) if isinstance(turn, UserTurn) else turn
            for turn in turns
        )

    def runner(self) -> RunTool:
        """Runs tools, and shows the model what they found as what it is."""
        run = self._toolbox.runner(self._context)

        async def guarded(name: str, arguments: Any) -> str:
            text = await run(name, arguments)
            return self._gate.found(text, name, self._toolbox.provenance_of(name))

        return guarded

    def _tell(self, signal: Signal, origin: str) -> None:
        whose = "caller" if origin == "caller" else "tool"
        self._audit.emit(
            "safety.signalled", actor=self._context.agent, action=origin, resource=self._context.caller,
            metadata={"family": signal.family, "origin": whose, "disguised": int(signal.is_disguised)},
        )  # fmt: skip
