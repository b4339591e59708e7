"""An agent's folder evaluated here, before it is anybody's agent: its code and its models, and no bus.

Its own models are asked, with the keys of this environment, and its tools run here, with their effects, in a scratch
workspace. What asks people is rejected; what asks other agents finds nobody. Not there: lifespans, limits of rates.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

from agents.changes import Asking, AuthRequired
from agents.context import Context, InputRequired
from agents.llm import Budget
from agents.runtime.answering.answers import Answering, Outside
from agents.runtime.answering.ways import answering_of
from agents.runtime.loading.load import Loaded, load_agent
from agents.testing.others import Others
from agents.testing.surroundings import Conversations, Reviewers, Trail, TrialTask
from bus.connection import Connection
from bus.requests import spending
from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import DeadlineExceeded, InvalidDocument, UnsupportedOperation

from .running import Asked

_CALLER: Final = "evaluation"


@asynccontextmanager
async def in_folder(
    folder: Path, agent: str, environment: Mapping[str, str], elsewhere: Asked | None = None
) -> AsyncIterator[Asked]:
    """The agent of `folder`, to be asked; whoever else is asked is asked of `elsewhere`.

    Raises:
        InvalidDocument, ToolUnusable: it cannot be used here. InvalidDocument: it is not the `agent` of the suite.
    """
    loaded = load_agent(folder, environment)
    if loaded.id != agent:
        raise InvalidDocument(f"the suite is for {agent}, and {folder} has the agent {loaded.id}")
    trail = Trail()
    with tempfile.TemporaryDirectory(prefix="agentbus-eval-") as state:
        outside = Outside(sessions=Conversations())
        answering = await answering_of(loaded, trail.audit, cast(Connection, None), Path(state), outside)
        try:
            yield _InFolder(loaded, answering, elsewhere or cast(Asked, Others({})))
        finally:
            await answering.close()


class _InFolder:
    """See `Asked`."""

    def __init__(self, agent: Loaded, answering: Answering, elsewhere: Asked) -> None:
        self._agent, self._answering, self._elsewhere = agent, answering, elsewhere

    async def send_message(
        self, agent: str, request: a2a.SendMessageRequest, *, timeout_s: float = 60.0
    ) -> a2a.SendMessageResponse:
        """See `Asked`. A defect of the agent's code comes as it is."""
        if agent != self._agent.id:
            return await self._elsewhere.send_message(agent, request, timeout_s=timeout_s)
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:  # a task of its own: what a run enters does not reach the next one
                message = await asyncio.create_task(self._answered(request.message, timeout_s))
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"no answer within {timeout_s:g} s") from None
        return a2a.SendMessageResponse(message=message)

    async def _answered(self, message: a2a.Message, timeout_s: float) -> a2a.Message:
        limits = self._agent.file.budget
        budget = Budget(limits.max_cost_per_task_usd, unknown_price=limits.unknown_price)
        account = spending.Account(budget)
        spending.enter(account)
        task = TrialTask(f"t-{message.message_id}", message)
        context = Context(
            agent=self._agent.id, caller=_CALLER, message=message,
            deadline_ms=round((time.time() + timeout_s) * 1000), calls=cast(Caller, Others({})),
            asking=Asking(Reviewers(self._agent.id, "rejected"), task), work=task,
            context_id=f"c-{message.message_id}", budget=budget,
        )  # fmt: skip
        try:
            parts = await self._answering.answer(context)
        except (InputRequired, AuthRequired) as wanted:
            raise UnsupportedOperation(f"it waits for somebody instead of answering: {wanted}") from None
        return a2a.Message(message_id="answer", role="ROLE_AGENT", parts=parts, metadata=account.metadata())
