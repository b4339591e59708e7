"""What stands between the words of others and one conversation with a model: the gate, told on the trail."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agents.context import Context
from agents.llm import Turn, UserTurn
from agents.loop import Step, ToolStep
from agents.safety import Gate
from agents.safety.signals import Signal
from bus.audit.emit import Audit
from schemas.agent import Safety


class Guard:
    """The gate of one request or task: a guard of its conversation."""

    def __init__(self, settings: Safety, context: Context, audit: Audit) -> None:
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

    def look(self) -> None:
        """Look at the caller's message, of which a model sees the beginning of the text, and another agent the whole.

        The other agent has limits of its own, so here are none.

        Raises:
            InvalidArgument: it is refused as an instruction to the model.
        """
        self._gate.seen(self._context.message)

    def turns(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """What was said, as the model is shown it."""
        return tuple(
            msgspec.structs.replace(turn, text=self._gate.question(turn.text)) if isinstance(turn, UserTurn) else turn
            for turn in turns
        )

    async def let_through(self, step: Step) -> None:
        """Every call: what it holds has passed the gate."""

    def shown(self, step: ToolStep, text: str) -> str:
        """What a tool found, as what it is."""
        return self._gate.found(text, step.row.name, step.row.provenance)

    def _tell(self, signal: Signal, origin: str) -> None:
        whose = "caller" if origin == "caller" else "tool"
        self._audit.emit(
            "safety.signalled", actor=self._context.agent, action=origin, resource=self._context.caller,
            metadata={"family": signal.family, "origin": whose, "disguised": int(signal.is_disguised)},
        )  # fmt: skip
