"""The other agents of a trial: what each answers is written down by the test."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec

from agents.runtime.loading.typed import write_output
from bus.errors import NobodyServes
from schemas import a2a, names
from schemas.errors import A2AError


class Request(msgspec.Struct, frozen=True):
    """What was sent to another agent: text, or the data of a typed skill as plain values."""

    agent: str
    skill: str
    text: str
    data: Any = None


class Others:
    """In place of the connection to the bus. `asked` are the requests, in order.

    An answer is text or a value of the other skill's output type, an A2AError to be refused with, or a function,
    also an async one, that makes it of the `Request`.
    """

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.asked: list[Request] = []

    async def send_message(
        self, agent: str, request: a2a.SendMessageRequest, **_options: Any
    ) -> a2a.SendMessageResponse:
        """As `Caller.send_message`.

        Raises:
            NobodyServes: the test says nothing of this agent. A2AError: what it says.
        """
        parts = write_output(await self._answer(_request(agent, request.message)))
        answer = a2a.Message(message_id=f"{request.message.message_id}.answer", role="ROLE_AGENT", parts=parts)
        return a2a.SendMessageResponse(message=answer)

    async def stream(
        self, agent: str, _operation: str, request: a2a.SendMessageRequest, **options: Any
    ) -> AsyncGenerator[a2a.StreamResponse]:
        """As `Caller.stream`: the whole answer as one message. Raises as `send_message`."""
        answer = await self.send_message(agent, request, **options)
        yield a2a.StreamResponse(message=answer.message)

    async def _answer(self, request: Request) -> Any:
        self.asked.append(request)
        if request.agent not in self._answers:
            raise NobodyServes(f"nobody serves {request.agent} here; write trial(…, others={{{request.agent!r}: …}})")
        answer = self._answers[request.agent]
        if callable(answer):
            answer = answer(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, A2AError):
            raise answer
        return answer


def _request(agent: str, message: a2a.Message) -> Request:
    data = next((part.data for part in message.parts if part.data is not msgspec.UNSET), None)
    return Request(agent, str(message.metadata.get(names.SKILL_KEY, "")), message.text(), data)
