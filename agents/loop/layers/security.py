"""Second: what the conversation's guards say. Whoever is refused here has used up nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from agents.loop.steps import ModelStep, Step, ToolStep
from agents.tools.errors import ToolError, ToolRefused


class SecurityLayer:
    """Asks every guard, in order; the result passes them too, and what was found where it failed. Without a guard nothing gets through."""

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Layer`."""
        if not step.guards:
            raise ToolRefused(f"{step.key}: nobody guards this conversation, so nothing is let through")
        for guard in step.guards:
            await guard.let_through(step)
        if isinstance(step, ModelStep):
            return await proceed()
        try:
            return cast(T, _shown(step, cast(str, await proceed())))
        except ToolError as error:
            if error.found:
                error.found = _shown(step, error.found)
            raise


def _shown(step: ToolStep, text: str) -> str:
    for guard in step.guards:
        text = guard.shown(step, text)
    return text
