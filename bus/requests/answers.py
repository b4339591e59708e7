"""Answers on their way: those of one moment are written down together, and then sent.

Guarantees: an answer is on the trail's spool before it leaves. Not guaranteed: that it arrives.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import structlog

from bus.audit.emit import Audit
from bus.audit.event import Happened
from bus.background import Background
from bus.connection import Connection
from bus.errors import AuditUnavailable
from bus.headers import Block
from bus.inbound import Call
from schemas.errors import A2AError

_log = structlog.get_logger("bus")


class Answer(NamedTuple):
    """What is to be told: nothing more where `body` is empty, nothing to write down where `happened` is None."""

    call: Call
    body: bytes
    headers: Block
    happened: Happened | None


class Answers:
    """Every answer of one responder passes here."""

    def __init__(self, connection: Connection, audit: Audit) -> None:
        self._connection = connection
        self._audit = audit
        self._ready: list[Answer] = []
        self._is_due = False
        self._relieving = Background()

    def hold(self) -> None:
        """Keep what is added until `send` is called, which must be before anything is awaited."""
        self._is_due = True

    def add(self, answer: Answer) -> None:
        """Have it sent with all others of this moment."""
        self._ready.append(answer)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.send)

    def send(self) -> None:
        """Send what is ready."""
        ready, self._ready, self._is_due = self._ready, [], False
        self.record([answer.happened for answer in ready if answer.happened])
        is_too_much = False
        for answer in ready:
            if answer.body:
                is_too_much |= self._send(answer)
        if is_too_much and not self._relieving:
            self._relieving.begin(self._connection.relieve())

    def record(self, happened: list[Happened]) -> None:
        """Write down what cannot be undone any more: a full spool refuses the next request, not this one's answer."""
        try:
            self._audit.emit_all(happened)
        except AuditUnavailable as error:
            _log.error("bus.not_audited", events=len(happened), kind=happened[0].kind, reason=str(error))

    def _send(self, answer: Answer) -> bool:
        call = answer.call
        try:
            return self._connection.enqueue(call.reply, answer.body, headers=answer.headers)
        except A2AError as error:
            _log.warning("bus.answer_lost", operation=call.operation, caller=call.caller, reason=error.reason)
            return False
