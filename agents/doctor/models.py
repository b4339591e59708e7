"""Models: has each agent the key that its file refers to?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.doctor.finding import Finding, doubtful, fine, wrong
from agents.llm.errors import PoolUnusable
from agents.llm.secrets import resolve
from agents.observing import Place, Runner
from agents.runtime.loading.agent_folder import read_folder
from bus.surroundings import CREDENTIALS
from schemas.agent import ModelChoice
from schemas.agent.reading import NOWHERE
from schemas.errors import InvalidDocument


async def access(place: Place) -> Sequence[Finding]:
    """Keys are looked for where the agent's process finds them; no provider is asked."""
    found = [finding for agent in place.fleet.agents for finding in _of_agent(place, agent)]
    return found or [fine("each agent has a model that it can use, or needs none")]


def _of_agent(place: Place, agent: str) -> Iterable[Finding]:
    try:
        section = read_folder(place.home.live(agent), NOWHERE).file.llm
    except InvalidDocument:
        return  # said by the check of the agents' files
    missing = {
        choice.model: reason
        for choice in (section.pool if section else ())
        if (reason := _reason(place, agent, choice))
    }
    for choice in section.pool if section else ():
        if choice.model in missing and choice.when_key_is_missing == "fail":
            yield _finding(
                place, f"{agent} has no key for {choice.provider}/{choice.model}: {missing[choice.model]}", choice
            )
    if section and len(missing) == len(section.pool):
        yield wrong(f"{agent} has no model that it can use", "give it one of the keys that its file refers to")


def _finding(place: Place, says: str, choice: ModelChoice) -> Finding:
    name = (choice.api_key or "").removeprefix("env:")
    if place.runner is Runner.SYSTEMD and (choice.api_key or "").startswith("env:"):
        # a unit's own environment cannot be seen from here
        return doubtful(f"{says}; its unit may have it", f"write credential:{name.lower()} into its file instead")
    return wrong(says, "start the fleet with the variable, or put the key into the agent's folder of credentials")


def _reason(place: Place, agent: str, choice: ModelChoice) -> str:
    """Why the key cannot be had; empty when it can, or none is needed."""
    if not choice.api_key:
        return ""
    environment = {**place.environment, CREDENTIALS: str(place.home.credentials(agent))}
    try:
        resolve(choice.api_key, environment)
    except PoolUnusable as error:
        return str(error)
    return ""
