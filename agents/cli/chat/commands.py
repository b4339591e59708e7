"""The conversation itself: a line is said to the agent, or is a command; Ctrl-C stops an answer."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from agents.cli.chat.dialogue import Dialogue
from agents.cli.chat.lines import Lines
from agents.cli.chat.screen import Lines as JsonLines
from agents.cli.chat.screen import Plain, Screen, Terminal
from agents.cli.chat.slash import COMMANDS, Outcome
from agents.cli.run import exit_code, log_quietly, run_async
from agents.people import operator
from schemas import a2a
from schemas.errors import A2AError

_INTERRUPTED: Final = 130
_LAST_WORDS_S: Final = 5.0
"""How long an agent that was told to stop is listened to."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was typed. Without `context` a conversation is begun."""

    agent: str
    context: str = ""
    skill: str = ""
    as_json: bool = False


def chat(home: Path, caller: str, options: Options) -> None:
    """Talk until the input ends; the exit code says how that went."""
    log_quietly()
    is_person = sys.stdin.isatty() and sys.stdout.isatty() and not options.as_json

    async def main() -> int:
        async with operator(home, caller) as calls:
            dialogue = Dialogue(calls, options.agent, options.context, options.skill)
            with Lines() as lines:
                return await Chat(dialogue, lines, _screen(options, is_person=is_person), is_person=is_person).run()

    raise SystemExit(run_async(main()))


def _screen(options: Options, *, is_person: bool) -> Screen:
    if options.as_json:
        return JsonLines()
    return Terminal(options.agent) if is_person else Plain()


class Leave(Exception):
    """The conversation is over, with this exit code."""

    def __init__(self, code: int) -> None:
        self.code = code


class Chat:
    """One conversation at a time. Without a person an error ends it, and so does Ctrl-C."""

    def __init__(self, dialogue: Dialogue, lines: Lines, screen: Screen, *, is_person: bool) -> None:
        self._dialogue = dialogue
        self._lines = lines
        self._screen = screen
        self._is_person = is_person
        self._interrupts: asyncio.Queue[None] = asyncio.Queue()
        self._has_warned = False
        """Whether the last thing that happened was Ctrl-C."""
        self._code = 0

    async def run(self) -> int:
        """Talk to the end; returns the exit code: 0, 1 when an answer is missing, 130 after Ctrl-C, else the error's."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupts.put_nowait, None)
        if self._is_person:
            self._screen.note(f"talking to {self._dialogue.agent}; /help for commands, /quit or Ctrl-D to leave")
        try:
            while True:
                await self._turn()
        except Leave as end:
            if self._is_person:
                self._screen.note(f"go on later with --context {self._dialogue.context}")
            return end.code

    async def _turn(self) -> None:
        self._screen.prompt()
        line = await self._first_of(self._lines.next())
        if isinstance(line, Interrupted):
            self._interrupted()
            return
        self._has_warned = False
        if line is None:
            raise self._end()
        word, _, rest = line.strip().partition(" ")
        if not word:
            return
        command = COMMANDS.get(word)
        if command is not None:
            self._obey(command.do(self._dialogue, self._screen, rest.strip()))
        elif word.startswith("/") and self._is_person and "/" not in word[1:]:
            self._screen.note(f"there is no command {word}; /help lists them")
        else:
            await self._say(line)

    def _obey(self, outcome: Outcome) -> None:
        if outcome == "leave":
            raise self._end()
        if outcome == "failed":
            self._code = 1

    async def _say(self, text: str) -> None:
        answering = asyncio.create_task(self._answered(text))
        try:
            if not isinstance(await self._first_of(asyncio.shield(answering)), Interrupted):
                return
            stopped = await self._first_of(self._stopped(answering))
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
        if isinstance(stopped, Interrupted) or not self._is_person:
            raise Leave(_INTERRUPTED)
        self._has_warned = True
        self._screen.note("stopped; Ctrl-C again leaves")

    async def _answered(self, text: str) -> None:
        try:
            async for update in self._dialogue.say(text):
                self._screen.show(update)
        except A2AError as error:
            self._screen.failed(error)
            self._code = 1
            if not self._is_person:
                raise Leave(exit_code(error)) from None
            return
        answer = self._dialogue.answer
        self._screen.end(answer)
        if answer.state != a2a.COMPLETED:
            self._code = 1

    async def _stopped(self, answering: asyncio.Task[None]) -> None:
        """Have the agent stop, as soon as it has said which task it is, and hear the end of it."""
        begun = asyncio.create_task(self._dialogue.begun.wait())
        await asyncio.wait({answering, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        try:
            await self._dialogue.cancel()
        except A2AError as error:
            self._screen.failed(error)
        await asyncio.wait({answering}, timeout=_LAST_WORDS_S)

    def _end(self) -> Leave:
        """A person has seen what failed; for others it is in the exit code."""
        return Leave(0 if self._is_person else self._code)

    def _interrupted(self) -> None:
        if self._has_warned or not self._is_person:
            raise Leave(_INTERRUPTED)
        self._has_warned = True
        self._screen.note("Ctrl-C again leaves, as does /quit")

    async def _first_of[T](self, what: Awaitable[T]) -> T | Interrupted:
        """What comes first: the result, or Ctrl-C, which ends the other."""
        work, interrupt = asyncio.ensure_future(what), asyncio.ensure_future(self._interrupts.get())
        try:
            await asyncio.wait({work, interrupt}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            return Interrupted()
        finally:
            for task in (work, interrupt):
                task.cancel()
            await asyncio.wait({work, interrupt})


class Interrupted(NamedTuple):
    """Ctrl-C was typed."""
