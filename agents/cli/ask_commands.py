"""Asking agents and leaving them tasks, as an operator."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agents.cli.people import operator
from agents.cli.run import log_quietly, run_async
from agents.context import SKILL_KEY
from bus.caller import Caller
from schemas import a2a, protojson
from schemas.errors import A2AError, InvalidDocument, TaskNotFound, Unavailable
from schemas.ids import ulid
from schemas.text import harmless

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of whom: text, or `data` as JSON for a typed skill."""

    agent: str
    text: str
    data: str
    skill: str
    timeout_s: float
    is_background: bool
    extensions: tuple[str, ...] = ()
    """URIs of the extensions of A2A that the person's program supports."""

    def request(self) -> a2a.SendMessageRequest:
        """The request it makes.

        Raises:
            InvalidDocument: neither or both of text and data, or data is not JSON.
        """
        if bool(self.text) == bool(self.data):
            raise InvalidDocument("say something: give either a text or --data JSON")
        part = a2a.Part(data=_json(self.data)) if self.data else a2a.Part(text=self.text)
        message = a2a.Message(
            message_id=ulid(time.time_ns(), os.urandom(10)),
            role="ROLE_USER",
            parts=(part,),
            metadata={SKILL_KEY: self.skill} if self.skill else {},
        )
        configuration = a2a.SendMessageConfiguration(return_immediately=self.is_background)
        return a2a.SendMessageRequest(message=message, configuration=configuration)


def ask(home: Path, caller: str, question: Question, *, as_json: bool) -> None:
    """Ask, and print the answer."""
    log_quietly()
    request = question.request()

    async def main() -> a2a.SendMessageResponse:
        async with operator(home, caller) as calls:
            declaring = calls.declaring(*question.extensions)
            return await declaring.send_message(question.agent, request, timeout_s=question.timeout_s)

    response = run_async(told_plainly(main()))
    if as_json:
        _print_json(response)
    elif response.message is not None:
        print(_text(response.message.parts))
    elif response.task is not None:
        _print_task(response.task)


def card(home: Path, caller: str, agent: str) -> None:
    """Print an agent's card."""
    log_quietly()

    async def main() -> a2a.AgentCard:
        async with operator(home, caller) as calls:
            return await calls.get_card(agent)

    _print_json(run_async(told_plainly(main())))


def add_task(home: Path, caller: str, question: Question, key: str) -> None:
    """Leave a task, and print its id."""
    log_quietly()
    request = question.request()

    async def main() -> str:
        async with operator(home, caller) as calls:
            return await calls.declaring(*question.extensions).leave_task(question.agent, request, key=key)

    print(run_async(told_plainly(main())))


def show_task(home: Path, caller: str, which: tuple[str, str], wait_s: float, *, as_json: bool) -> None:
    """Print the task `which` (agent, id), after waiting up to `wait_s` for its end."""
    log_quietly()

    async def main() -> a2a.Task:
        async with operator(home, caller) as calls:
            return await _ended(calls, which, time.monotonic() + wait_s)

    found = run_async(told_plainly(main()))
    if as_json:
        _print_json(found)
    else:
        _print_task(found)


async def _ended(calls: Caller, which: tuple[str, str], deadline: float) -> a2a.Task:
    """The task when it has ended; as it is at the deadline otherwise.

    Raises:
        TaskNotFound: the agent does not know it, at the deadline.
    """
    while True:
        try:
            task = await calls.get_task(*which)
            if task.is_final or time.monotonic() >= deadline:
                return task
        except TaskNotFound:  # a task that was just left may not have been taken from the stream yet
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(_POLL_S)


async def told_plainly(answer: Any) -> Any:
    """The answer; an error object with all its violations, a line each."""
    try:
        return await answer
    except A2AError as error:
        for violation in error.violations[1:]:
            print(f"agentbus: {harmless(f'{violation.field}: {violation.description}')}", file=sys.stderr)
        safe = harmless(error.message)
        raise type(error)(safe if isinstance(error, Unavailable) else f"{error.reason}: {safe}") from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidDocument(f"--data is not JSON: {error}") from None


def _print_json(value: a2a.A2AObject) -> None:
    print(msgspec.json.format(protojson.encode(value), indent=2).decode())


def _print_task(task: a2a.Task) -> None:
    print(f"{task.id} {task.status.state.removeprefix('TASK_STATE_').lower()} since {task.status.timestamp}")
    if task.status.message is not None:
        print(_text(task.status.message.parts))
    for artifact in task.artifacts:
        print(_text(artifact.parts))


def _text(parts: tuple[a2a.Part, ...]) -> str:
    return "\n".join(harmless(_part(part), keep="\n\t") for part in parts)


def _part(part: a2a.Part) -> str:
    if isinstance(part.text, str):
        return part.text
    if part.data is not msgspec.UNSET:
        return json.dumps(part.data, ensure_ascii=False)
    return str(part.url) if isinstance(part.url, str) else f"({len(part.raw or b'')} bytes)"
