"""The client's side of one conversation: what was said, what it cost, and the task that waits for an answer. No terminal."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from bus.requests.caller import Caller
from schemas import a2a, names
from schemas.errors import A2AError
from schemas.ids import rfc3339, ulid
from schemas.usage import Usage


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the conversation."""

    role: str
    text: str
    at: str


@dataclass(slots=True)
class Cost:
    """What the answers took so far; a sum is None as soon as one of its parts is not known."""

    answers: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    usd: Decimal | None = Decimal(0)

    def add(self, metadata: a2a.JsonObject) -> None:
        """Of one answer, whatever it asked of others included; one that tells nothing did cost nothing."""
        total = (Usage.told_in(metadata) or Usage()).total
        self.answers += 1
        self.input_tokens = _sum(self.input_tokens, total.input_tokens)
        self.output_tokens = _sum(self.output_tokens, total.output_tokens)
        self.usd = _sum(self.usd, total.cost_usd)


def _sum[N: (int, Decimal)](one: N | None, other: N | None) -> N | None:
    return None if one is None or other is None else one + other


@dataclass(slots=True)
class Answer:
    """An answer as far as it has come: its text, its state, and what its metadata say."""

    task: str = ""
    state: a2a.TaskState | None = None
    remark: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)
    metadata: a2a.JsonObject = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it, or what was asked back."""
        return "\n".join(text for text in self.artifacts.values() if text) or self.remark

    def take(self, update: a2a.StreamResponse) -> None:
        """What `update` adds."""
        if update.message is not None:
            self.artifacts[update.message.message_id] = update.message.text()
            self.metadata |= update.message.metadata
            self.state = a2a.COMPLETED
        elif update.task is not None:
            self.task = update.task.id
            self.metadata |= update.task.metadata
            self._status(update.task.status)
            for artifact in update.task.artifacts:
                self._artifact(artifact, is_more=False)
        elif update.status_update is not None:
            self.metadata |= update.status_update.metadata
            self._status(update.status_update.status)
        elif update.artifact_update is not None:
            self.metadata |= update.artifact_update.metadata
            self._artifact(update.artifact_update.artifact, is_more=update.artifact_update.append)

    def _status(self, status: a2a.TaskStatus) -> None:
        self.state = status.state
        self.remark = status.message.text() if status.message else ""
        self.metadata |= status.message.metadata if status.message else {}

    def _artifact(self, artifact: a2a.Artifact, *, is_more: bool) -> None:
        before = self.artifacts.get(artifact.artifact_id, "") if is_more else ""
        self.artifacts[artifact.artifact_id] = before + text_in(artifact)
        self.metadata |= artifact.metadata


def text_in(artifact: a2a.Artifact) -> str:
    """What an artifact says; data as JSON."""
    return "".join(map(_text_of, artifact.parts))


def _text_of(part: a2a.Part) -> str:
    if isinstance(part.text, str):
        return part.text
    return msgspec.json.encode(part.data).decode() if part.data is not msgspec.UNSET else "(a file)"


class Dialogue:
    """Says things to `agent` in one conversation, which may be one that was begun before."""

    def __init__(self, calls: Caller, agent: str, context: str = "", skill: str = "") -> None:
        self._calls = calls
        self._skill = skill
        self.agent = agent
        self.context = context or new_context()
        self.said: list[Said] = []
        self.cost = Cost()
        self.answer = Answer()
        """The last one."""
        self.begun = asyncio.Event()
        """Set when the agent has begun to answer what was said last."""
        self._waiting = ""
        """The task that asked something back."""

    def begin_anew(self) -> None:
        """Another conversation from here on."""
        self.context, self._waiting = new_context(), ""
        self.said.clear()
        self.cost, self.answer = Cost(), Answer()

    async def say(self, text: str) -> AsyncGenerator[a2a.StreamResponse, None]:
        """Say `text`, and get what comes of it as it comes; `answer` has it all afterwards. Raises as `Caller.stream`."""
        self.said.append(Said("user", text, _now()))
        self.answer, task, self._waiting = Answer(), self._waiting, ""
        self.begun.clear()
        stream = self._calls.stream(self.agent, "SendStreamingMessage", self._request(text, task))
        async with aclosing(stream) as updates:
            async for update in updates:
                self.answer.take(update)
                self.begun.set()
                yield update
        self.said.append(Said("agent", self.answer.text, _now()))
        self.cost.add(self.answer.metadata)
        if self.answer.state == a2a.INPUT_REQUIRED:
            self._waiting = self.answer.task

    async def cancel(self) -> None:
        """Stop the work on what was said last; that it has ended already is as good."""
        if self.answer.task:
            try:
                await self._calls.cancel_task(self.agent, self.answer.task)
            except A2AError as error:
                if error.fault != "caller":
                    raise

    def _request(self, text: str, task: str) -> a2a.SendMessageRequest:
        message = a2a.Message(
            message_id=ulid(time.time_ns(), os.urandom(10)), role="ROLE_USER", parts=(a2a.Part(text=text),),
            context_id=self.context, task_id=task, metadata={names.SKILL_KEY: self._skill} if self._skill else {},
        )  # fmt: skip
        return a2a.SendMessageRequest(message=message)


def new_context() -> str:
    """The id of a conversation that nobody has begun."""
    return f"chat-{ulid(time.time_ns(), os.urandom(10)).lower()}"


def _now() -> str:
    return rfc3339(time.time_ns())
