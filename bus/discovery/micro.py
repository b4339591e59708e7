"""Each worker as a NATS micro service, so that `nats micro ls|info|stats|ping` shows the fleet.

Only the discovery side of ADR-32: the endpoints themselves are `bus.requests.responder`'s. A question is answered
below `_INBOX.` alone, where plain tools wait. Not guaranteed: that an answer is true. Each agent answers
with its own key, but a reply says nothing about who sent it; identities are those of the request subjects.

Source: ADR-32 (Service API).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import msgspec
import structlog

from bus.background import Background
from bus.connection import Connection, Msg, Subscription
from schemas import subjects
from schemas.errors import A2AError
from schemas.ids import rfc3339

_log = structlog.get_logger("bus")
_TOOLS = "_INBOX."


class Counts(msgspec.Struct, gc=False):
    """What one operation has done since the process began. Times in nanoseconds; errors by their reason."""

    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    processing_time: int = 0

    def add(self, took_s: float, error: str = "") -> None:
        """Count a request that was answered, with `error` when it was refused or failed."""
        self.num_requests += 1
        self.processing_time += int(took_s * 1e9)
        if error:
            self.num_errors += 1
            self.last_error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How this instance presents itself. `version` is a semantic version, metadata are strings: else it is not listed."""

    name: str
    instance: str
    version: str
    description: str
    metadata: Mapping[str, str]


class Micro:
    """Answers `$SRV.PING|INFO|STATS`, for all services, for this agent, and for this instance."""

    def __init__(self, connection: Connection, service: Service, counts: Mapping[str, Counts]) -> None:
        self._connection = connection
        self._service = service
        self._counts = counts
        self._started = rfc3339(time.time_ns())
        self._subscriptions: list[Subscription] = []
        self._answering = Background()

    async def start(self) -> None:
        """Be found from now on."""
        for verb in subjects.MICRO_VERBS:
            on_message = partial(self._on_message, verb)
            for subject in subjects.micro_subjects(verb, self._service.name, self._service.instance):
                self._subscriptions.append(await self._connection.subscribe(subject, on_message))

    async def stop(self) -> None:
        """Be found no more."""
        await asyncio.gather(*map(self._connection.drain, self._subscriptions))
        self._subscriptions.clear()

    def _on_message(self, verb: str, message: Msg) -> None:
        if message.reply.startswith(_TOOLS):
            self._answering.begin(self._answer(verb, message.reply))

    async def _answer(self, verb: str, reply: str) -> None:
        service = self._service
        more = {"PING": dict, "INFO": self._info, "STATS": self._stats}[verb]()
        body = {
            "type": f"io.nats.micro.v1.{verb.lower()}_response",
            "name": service.name,
            "id": service.instance,
            "version": service.version,
            "metadata": dict(service.metadata),
        }
        try:
            await self._connection.publish(reply, msgspec.json.encode(body | more))
        except A2AError as error:
            _log.warning("bus.answer_lost", operation=verb, reason=error.reason)

    def _info(self) -> dict[str, object]:
        return {
            "description": self._service.description,
            "endpoints": [self._endpoint(operation) | {"metadata": {}} for operation in self._counts],
        }

    def _stats(self) -> dict[str, object]:
        return {
            "started": self._started,
            "endpoints": [
                self._endpoint(operation)
                | msgspec.structs.asdict(counts)
                | {"average_processing_time": counts.processing_time // max(counts.num_requests, 1), "data": {}}
                for operation, counts in self._counts.items()
            ],
        }

    def _endpoint(self, operation: str) -> dict[str, object]:
        name = self._service.name
        return {
            "name": operation,
            "subject": subjects.Request.pattern(agent=name, operation=operation),
            "queue_group": name,
        }
