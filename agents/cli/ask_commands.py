"""Asking agents, as an operator."""

from __future__ import annotations

import json
import mimetypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.cli.run import log_quietly, run_async
from agents.cli.shown import print_json, print_task, text_of, told_plainly
from agents.context import SKILL_KEY
from agents.llm.budget import Budget
from agents.people import operator
from bus.discovery.agent_keys import AgentKeys
from bus.requests import spending
from bus.surroundings import Home
from schemas import a2a
from schemas.errors import InvalidDocument
from schemas.ids import ulid
from schemas.usage import amount_of


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of whom: text, or `data` as JSON for a typed skill, or files, which may go along with either."""

    agent: str
    text: str
    data: str
    skill: str
    timeout_s: float
    is_background: bool
    extensions: tuple[str, ...] = ()
    """URIs of the extensions of A2A that the person's program supports."""
    files: tuple[Path, ...] = ()
    budget: str = ""
    """US dollars that the work may cost, as typed; no limit without it."""

    def carrying(self, files: list[Path] | None, budget: str = "") -> Question:
        """The same with files, and with what the work may cost."""
        return replace(self, files=tuple(files or ()), budget=budget)

    @contextmanager
    def paid(self) -> Iterator[None]:
        """What is asked inside may cost what the question says, and no more.

        Raises:
            InvalidArgument: that is no amount.
        """
        if self.budget:
            spending.enter(spending.Account(Budget(amount_of(self.budget, "--budget"))))
        with spending.allotted(fraction=spending.ALL):
            yield

    def request(self) -> a2a.SendMessageRequest:
        """The request it makes.

        Raises:
            InvalidDocument: nothing, or both of text and data, or data is not JSON, or a file cannot be read.
        """
        if (self.text and self.data) or not (self.text or self.data or self.files):
            raise InvalidDocument("say something: give either a text or --data JSON, or --file PATH")
        if not all(map(_is_text, (self.text, self.data, self.skill))):
            raise InvalidDocument("what is said is no text in UTF-8; send other bytes with --file PATH")
        said = [a2a.Part(text=self.text)] if self.text else []
        said += [a2a.Part(data=_json(self.data))] if self.data else []
        message = a2a.Message(
            message_id=ulid(time.time_ns(), os.urandom(10)),
            role="ROLE_USER",
            parts=(*said, *map(_part, self.files)),
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
            with question.paid():
                return await declaring.send_message(question.agent, request, timeout_s=question.timeout_s)

    response = run_async(told_plainly(main()))
    if as_json:
        print_json(response)
    elif response.message is not None:
        print(text_of(response.message.parts))
    elif response.task is not None:
        print_task(response.task)


def card(home: Path, caller: str, agent: str, *, is_verified: bool) -> None:
    """Print an agent's card; unless told otherwise, only one that the agent signed."""
    log_quietly()
    key_of = AgentKeys(Home(home.resolve()).agent_keys).of if is_verified else None

    async def main() -> a2a.AgentCard:
        async with operator(home, caller) as calls:
            return await calls.get_card(agent, key_of=key_of)

    print_json(run_async(told_plainly(main())))


def _part(path: Path) -> a2a.Part:
    """A file as a raw part, with its name and the media type that the name says."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidDocument(f"cannot read {path}: {error.strerror}; --file takes a file that you can read") from None
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return a2a.Part(raw=content, filename=path.name, media_type=media_type)


def _is_text(typed: str) -> bool:
    """Whether an argument was UTF-8; Python keeps other bytes of one as halves of surrogate pairs."""
    return not any("\ud800" <= char <= "\udfff" for char in typed)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidDocument(f"--data is not JSON: {error}") from None
