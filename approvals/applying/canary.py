"""The request that an agent must answer after each change of itself."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from approvals.change.kinds import AGENT_FILE, AGENT_FILES
from bus.requests.caller import Caller
from schemas import a2a, names
from schemas.agent import Canary as Wanted
from schemas.agent.reading import parse_agent
from schemas.errors import A2AError, AgentbusError
from schemas.ids import ulid


class CanaryFailed(AgentbusError):
    """The agent did not answer its canary as it should; one sentence."""


@dataclass(frozen=True, slots=True)
class Canary:
    """Asks what the agent's file names, or for its card where it names nothing. `caller` speaks as the applier."""

    caller: Caller
    wanted: Wanted | None

    async def ask(self, agent: str) -> None:
        """Ask once.

        Raises:
            CanaryFailed: no answer, an error, or another answer than its file promises.
        """
        try:
            if self.wanted is None:
                await self.caller.get_card(agent, timeout_s=5)
                return
            answer = await self.caller.send_message(agent, _request(self.wanted), timeout_s=self.wanted.timeout_s)
        except A2AError as error:
            raise CanaryFailed(f"{agent} did not answer its canary: {error.reason}") from None
        if self.wanted.contains not in _text(answer):
            raise CanaryFailed(f"{agent} answered its canary, but not with what its file says it contains")


def canary_of(folder: Path, caller: Caller) -> Canary:
    """The canary that the agent's file in `folder` names.

    Raises:
        InvalidDocument: the file is none.
    """
    path = next((folder / name for name in AGENT_FILES if (folder / name).is_file()), folder / AGENT_FILE)
    return Canary(caller, parse_agent(path.read_text(), str(path)).canary)


def _request(wanted: Wanted) -> a2a.SendMessageRequest:
    part = a2a.Part(text=wanted.text) if wanted.text is not None else a2a.Part(data=wanted.data)
    message = a2a.Message(
        message_id=ulid(time.time_ns(), os.urandom(10)), role="ROLE_USER", parts=(part,),
        metadata={names.SKILL_KEY: wanted.skill} if wanted.skill else {},
    )  # fmt: skip
    return a2a.SendMessageRequest(message=message)


def _text(answer: a2a.SendMessageResponse) -> str:
    """All that an answer says: its texts, and its data as JSON."""
    if answer.message is not None:
        parts = list(answer.message.parts)
    else:
        parts = [part for artifact in (answer.task.artifacts if answer.task else ()) for part in artifact.parts]
    return "\n".join(
        msgspec.json.encode(part.data).decode() if part.data is not msgspec.UNSET else str(part.text or "")
        for part in parts
    )
