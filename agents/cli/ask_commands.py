"""Asking agents, as an operator."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.cli.people import operator
from agents.cli.run import log_quietly, run_async
from agents.cli.shown import print_json, print_task, text_of, told_plainly
from agents.context import SKILL_KEY
from schemas import a2a
from schemas.errors import InvalidDocument
from schemas.ids import ulid


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
        print_json(response)
    elif response.message is not None:
        print(text_of(response.message.parts))
    elif response.task is not None:
        print_task(response.task)


def card(home: Path, caller: str, agent: str) -> None:
    """Print an agent's card."""
    log_quietly()

    async def main() -> a2a.AgentCard:
        async with operator(home, caller) as calls:
            return await calls.get_card(agent)

    print_json(run_async(told_plainly(main())))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidDocument(f"--data is not JSON: {error}") from None
