"""Did the restarted agent come up as the approved tree, and does it stay up? Asked over the bus, as others would."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bus.caller import Caller
from schemas import a2a
from schemas.errors import A2AError

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class HealthWindow:
    """`ready_within_s` to answer as the new tree, then `steady_for_s` without a restart or a failure."""

    ready_within_s: float = 30.0
    steady_for_s: float = 1.0


async def problem_of(caller: Caller, agent: str, tree: str, window: HealthWindow) -> str:
    """Why the agent is not healthy as `tree`, or an empty string when it is."""
    instance = await _await_release(caller, agent, tree, time.monotonic() + window.ready_within_s)
    if not instance:
        return f"{agent} did not answer as tree {tree[:12]} within {window.ready_within_s:g} s"
    steady_until = time.monotonic() + window.steady_for_s
    while time.monotonic() < steady_until:
        await asyncio.sleep(_POLL_S)
        running = await _release(caller, agent)
        if running is None:
            return f"{agent} stopped answering within {window.steady_for_s:g} s of its start"
        if running != (tree, instance):
            return f"{agent} restarted by itself within {window.steady_for_s:g} s of its start"
    return ""


async def _await_release(caller: Caller, agent: str, tree: str, deadline: float) -> str:
    while time.monotonic() < deadline:
        running = await _release(caller, agent)
        if running is not None and running[0] == tree:
            return running[1]
        await asyncio.sleep(_POLL_S)
    return ""


async def _release(caller: Caller, agent: str) -> tuple[str, str] | None:
    """(tree, instance) that the agent's card names, None when it does not answer."""
    try:
        card = await caller.get_card(agent, timeout_s=2)
    except A2AError:
        return None
    for extension in card.capabilities.extensions:
        if extension.uri == a2a.RELEASE_URI:
            return str(extension.params.get("tree", "")), str(extension.params.get("instance", ""))
    return "", ""
