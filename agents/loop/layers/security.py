"""Second: what the conversation's guards say. Whoever is refused here has used up nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from agents.loop.steps import ModelStep, Step
from agents.tools.errors import ToolRefused


class SecurityLayer:
    """Asks every guard, in order; the result passes them too. Without a guard nothing gets through."""

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Layer`."""
        if not step.guards:
            raise ToolRefused(f"{step.key}: nobody guards this conversation, so nothing is let through")
        for guard in step.guards:
            await guard.let_through(step)
        result = await proceed()
        if isinstance(step, ModelStep):
            return result
        text = cast(str, result)
        for guard in step.guards:
            text = guard.shown(step, text)
        return cast(T, text)
