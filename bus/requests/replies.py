"""What one caller waits for: answers and streams of answers, each on a reply subject of its own."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from bus.connection import Msg, is_no_responders
from bus.errors import NobodyServes
from bus.inbound import reply_problem
from bus.requests.streaming import Frames
from schemas import subjects
from schemas.errors import DeadlineExceeded, PermissionDenied, Unavailable


class Replies:
    """The reply subjects of the caller `name` in this process; several processes may use one name.

    A reply is taken only from the subject that the asked agent alone can publish.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = os.urandom(8).hex()
        self._numbers = itertools.count(1)
        self._ways: dict[tuple[str, str], tuple[str, str]] = {}
        """By agent and operation."""
        self._asked: dict[str, str] = {}
        """Request subject of each reply subject, to find the request that the server refused."""
        self._streams: dict[str, Frames] = {}
        """By reply subject."""
        self.waiting: dict[str, asyncio.Future[Msg]] = {}
        """By reply subject."""

    @property
    def pattern(self) -> str:
        """What to subscribe to."""
        return subjects.Reply.pattern(caller=self._name, client=self._client)

    def way(self, agent: str, operation: str) -> tuple[str, str]:
        """The subject of a request, and a new one for its replies."""
        way = self._ways.get((agent, operation))
        if way is None:
            reply = str(subjects.Reply(self._name, agent, self._client, "0")).removesuffix("0")
            way = self._ways[agent, operation] = str(subjects.Request(agent, self._name, operation)), reply
        return way[0], f"{way[1]}{next(self._numbers)}"

    @contextmanager
    def one(self, agent: str, subject: str, reply: str, timeout_s: float) -> Iterator[asyncio.Future[Msg]]:
        """Wait for one answer of `agent`; after `timeout_s` it is `DeadlineExceeded`."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Msg] = loop.create_future()
        self.waiting[reply], self._asked[reply] = waiting, subject
        timer = loop.call_later(timeout_s, _give_up, waiting, agent, timeout_s)
        try:
            yield waiting
        finally:
            timer.cancel()
            del self.waiting[reply], self._asked[reply]

    @contextmanager
    def many(self, subject: str, reply: str) -> Iterator[Frames]:
        """Wait for the frames of a stream."""
        frames = self._streams[reply] = Frames()
        self._asked[reply] = subject
        try:
            yield frames
        finally:
            del self._streams[reply], self._asked[reply]

    def arrived(self, message: Msg) -> None:
        """A message came on one of the reply subjects."""
        waiting = self.waiting.get(message.subject)
        if waiting is None:
            self._frame(message)
            return
        if waiting.done():
            return  # a second answer to one request: the first one counts
        if is_no_responders(message):
            waiting.set_exception(_nobody(message.subject))
        elif reply_problem(message) is None:
            waiting.set_result(message)

    def _frame(self, message: Msg) -> None:
        frames = self._streams.get(message.subject)
        if frames is None:
            return  # late
        if is_no_responders(message):
            frames.failed(_nobody(message.subject))
        elif reply_problem(message) is None:
            frames.arrived(message)

    def refused(self, subject: str) -> None:
        """The server refused a publish on `subject`: whoever waits for its answer learns it now."""
        for reply, asked in self._asked.items():
            # nats-py hands the server's words on in lower case
            if asked.lower() != subject.lower():
                continue
            agent = subjects.Request.parse(asked).agent
            refusal = PermissionDenied(f"the fleet file does not let {self._name} ask {agent}; see asks in fleet.yaml")
            waiting = self.waiting.get(reply)
            if waiting is None:
                self._streams[reply].failed(refusal)
            elif not waiting.done():
                waiting.set_exception(refusal)


def _give_up(waiting: asyncio.Future[Msg], agent: str, timeout_s: float) -> None:
    if not waiting.done():
        waiting.set_exception(DeadlineExceeded(f"{agent} did not answer within {timeout_s:g} s"))


def _nobody(reply: str) -> Unavailable:
    agent = subjects.Reply.parse(reply).agent
    return NobodyServes(f"nobody serves {agent} now; it is down, or not in the fleet")
