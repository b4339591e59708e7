"""Durable tasks that were given up: kept with their message, the reason and the history of attempts, and read again.

An agent writes them on the subject of their caller in stream DEAD; each operator reads its own through a
consumer that provisioning made. Guarantees: a task that is ended as given up, or that cannot be read, has a
dead letter as soon as it is acknowledged, unless DEAD stayed away for half a minute, which the log tells.
Not guaranteed: that there is one only; readers take the newest of a task.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import NamedTuple

import msgspec
import structlog

from bus.connection import Connection, Msg
from bus.errors import NotProvisioned
from bus.headers import MALFORMED
from bus.jetstream import NOT_FOUND, ApiError, Bucket, Delivery, Puller, delivery_of, store
from bus.outage import through_outage
from bus.tasks import retention
from schemas import names, subjects
from schemas.dead import Attempt, DeadLetter, decode_letter, encode_letter
from schemas.errors import (
    UNREADABLE,
    A2AError,
    AgentbusError,
    InvalidDocument,
    PayloadTooLarge,
    Unavailable,
    UnknownOutcome,
)
from schemas.ids import rfc3339, task_id

_log = structlog.get_logger("bus")
_PAUSE_S = 0.5
_LONGEST_REASON = 500
_BATCH = 20
_TRIES = 5
_ATTEMPTS = msgspec.json.Decoder(tuple[Attempt, ...])


class GivenUp(AgentbusError):
    """The task's end is stored, and nothing more will be tried: its message belongs with the dead letters."""


class Dead(NamedTuple):
    """A dead letter as its caller reads it; `number` is its sequence in DEAD."""

    agent: str
    number: int
    letter: DeadLetter
    payload: bytes


class DeadLetters:
    """What an agent writes. `own` is the connection to its account, `bus` the one that agents share."""

    def __init__(self, agent: str, own: Connection, bus: Connection) -> None:
        self.agent = agent
        self._bus = bus
        self._bucket = Bucket(own, names.TASK_BUCKET)

    async def note(self, caller: str, delivery: Delivery, error: Exception) -> None:
        """Add to the history that this delivery failed. A history that cannot be kept is no reason to stop."""
        attempt = Attempt(delivery.delivered, rfc3339(time.time_ns()), type(error).__name__)
        key, kept = _key(caller, delivery), retention.keeping(retention.DURABLE_S)
        try:
            entry = await self._bucket.get(key)
            known = _ATTEMPTS.decode(entry.value) if entry else ()
            revision = entry.revision if entry else 0
            await self._bucket.put(key, msgspec.json.encode((*known, attempt)), revision=revision, headers=kept)
        except (AgentbusError, *UNREADABLE) as problem:
            _log.warning("task.attempt_not_noted", sequence=delivery.stream_sequence, reason=str(problem))

    async def bury(self, message: Msg, delivery: Delivery, reason: str) -> None:
        """Keep a task's message for its caller, through an outage; after half a minute the log says that it was not kept."""
        caller = subjects.Task.parse(message.subject).caller
        subject = str(subjects.DeadLetter(self.agent, caller))
        letter = DeadLetter(
            task=task_id(delivery.stream_sequence),
            sequence=delivery.stream_sequence,
            reason=reason[:_LONGEST_REASON],
            left_at=rfc3339(delivery.at_ns),
            at=rfc3339(time.time_ns()),
            attempts=await self._history(caller, delivery),
            headers={name: value for name, value in message.headers.items() if name != MALFORMED},
        )
        errors = (ApiError, A2AError, UnknownOutcome)
        try:
            await through_outage(lambda _: self._store(subject, letter, message.data), errors=errors, pause_s=_PAUSE_S)
        except errors as error:
            _log.error("task.dead_letter_lost", task=letter.task, reason=str(error))

    async def _store(self, subject: str, letter: DeadLetter, payload: bytes) -> None:
        try:
            await store(self._bus, subject, payload, headers={names.DEAD_LETTER: encode_letter(letter)})
        except PayloadTooLarge:  # together with the history; TASKS still has it under its sequence
            partly = msgspec.structs.replace(letter, is_whole=False, headers={})
            await store(self._bus, subject, b"", headers={names.DEAD_LETTER: encode_letter(partly)})

    async def _history(self, caller: str, delivery: Delivery) -> tuple[Attempt, ...]:
        """Every delivery before this one; of some, only that they were."""
        try:
            entry = await self._bucket.get(_key(caller, delivery))
            known = _ATTEMPTS.decode(entry.value) if entry else ()
        except (AgentbusError, *UNREADABLE) as problem:
            _log.warning("task.history_not_read", sequence=delivery.stream_sequence, reason=str(problem))
            known = ()
        noted = {attempt.number: attempt for attempt in known}
        return tuple(noted.get(number, Attempt(number)) for number in range(1, delivery.delivered))


async def read_dead_letters(connection: Connection, operator: str) -> list[Dead]:
    """The dead letters of `operator`, the newest of each task, oldest first.

    Raises:
        NotProvisioned: the stream or its consumer is not there.
        Unavailable: others of the same name read at the same time, again and again.
    """
    puller = Puller(connection, names.DEAD, operator)
    for _ in range(_TRIES):
        messages = await _from_the_start(puller)
        if messages is not None:
            found = {(dead.agent, dead.letter.task): dead for dead in map(_read, messages) if dead is not None}
            return sorted(found.values(), key=lambda dead: dead.number)
        await asyncio.sleep(random.uniform(0.02, 0.2))  # noqa: S311  keeps readers apart, no secret
    raise Unavailable("somebody else reads these dead letters at the same time; try again", retry_after_s="1")


async def _from_the_start(puller: Puller) -> list[Msg] | None:
    """All that the consumer has; None when another reader took some of it, or began again meanwhile."""
    try:
        count = await puller.restart()
    except ApiError as error:
        if error.code not in NOT_FOUND:
            raise
        raise NotProvisioned(f"stream {names.DEAD} has no consumer for you; run: agentbus provision") from None
    messages: list[Msg] = []
    while batch := await puller.pull(_BATCH, wait_s=0):
        messages += batch
    numbers = [delivery_of(message).consumer_sequence for message in messages]
    is_ended = len(numbers) >= count and (not messages or delivery_of(messages[-1]).pending == 0)
    return messages if is_ended and numbers == list(range(1, len(numbers) + 1)) else None


def _read(message: Msg) -> Dead | None:
    subject = subjects.DeadLetter.parse(message.subject)
    try:
        letter = decode_letter(message.headers.get(names.DEAD_LETTER, ""))
    except InvalidDocument as error:
        _log.warning("dead_letter.unreadable", subject=message.subject, reason=str(error))
        return None
    return Dead(subject.agent, delivery_of(message).stream_sequence, letter, message.data)


def _key(caller: str, delivery: Delivery) -> str:
    """Beside the task's own entry, under one token more: no list of tasks has it."""
    return f"{caller}.{task_id(delivery.stream_sequence)}.attempts"
