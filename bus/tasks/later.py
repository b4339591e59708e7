"""Durable tasks that may not be begun yet: kept in the agent's own account, given back by the server when they are due.

A task that is put off leaves TASKS, where it would fill the room that the server has for what is not acknowledged,
and count each time that it is put off as a failed attempt. The server's own schedules are used here and nowhere
else: `Nats-Schedule-Target` names any subject of the stream, whatever its sender may publish, so in a stream that
callers share it would let one of them leave a task in another's name. Nobody but the agent is in this account.

Guarantees: a task that was kept is given to one instance when it is due, again when that one dies, also after a
restart of the server, for 30 days from then on: as long as TASKS keeps one that nobody takes. Not guaranteed: that it is given once only; the stored state of the task decides.

Source: ADR-51, measured on nats-server 2.15.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from bus.connection import Connection, Msg
from bus.errors import NotProvisioned
from bus.headers import encode
from bus.inbound import Call
from bus.jetstream import ApiError, Puller, call, delivery_of, store
from bus.provision.streams import TASKS_MAX_AGE_S
from bus.tasks.sources import Taken
from schemas import a2a, names, subjects
from schemas.errors import RateLimited
from schemas.ids import rfc3339, task_sequence
from schemas.usage import amount_text

MOST_OF_A_CALLER: Final = 5_000
"""Tasks of one caller that are put off at a time; several instances at once may keep a few more."""
_SHARE: Final = 4
"""All tasks that are put off may take the room of the agent's other tasks, divided by this."""
_SCHEDULER: Final = ("nats-schedule", names.TTL.lower())
"""What the names of the headers begin with that the server adds to what is due."""


class Later:
    """The tasks of `agent` that are put off; also the source of those that are due."""

    def __init__(self, agent: str, own: Connection) -> None:
        self._agent = agent
        self._own = own
        self._puller = Puller(own, names.TASK_LATER, names.DUE)
        self._room_bytes = 0
        self._keeping = asyncio.Lock()
        """Held from the look at what is there until one more is: no number of tasks at once gets past the limits."""

    async def require(self) -> None:
        """Check that provisioning made the stream, and learn how much it may hold.

        Raises:
            NotProvisioned: it is not there.
        """
        try:
            later = await call(self._own, f"STREAM.INFO.{names.TASK_LATER}")
            bucket = await call(self._own, f"STREAM.INFO.KV_{names.TASK_BUCKET}")
        except ApiError:
            raise NotProvisioned(f"stream {names.TASK_LATER} does not exist; run: agentbus provision") from None
        if not later["config"].get("allow_msg_ttl"):
            raise NotProvisioned(f"stream {names.TASK_LATER} is of an older version; run: agentbus provision")
        self._room_bytes = int(bucket["config"]["max_bytes"]) // _SHARE

    async def keep(self, task: Call, identity: str) -> None:
        """Put `task` off to its time; keeping it again changes nothing.

        Raises:
            RateLimited: there is no room for it, or its caller has as many as one may have.
            PayloadTooLarge, ApiError, UnknownOutcome, Unavailable: it may not be kept; try again.
        """
        async with self._keeping:
            await self._require_room(task)
            await self._schedule(task.caller, identity, task.not_before_ms or 0, task.payload, _headers(task))

    async def hurry(self, caller: str, identity: str) -> None:
        """Make a task that was put off due now, without what it said: for one that has ended, to free its place."""
        headers = {names.A2A_VERSION: a2a.PROTOCOL_VERSION}
        await self._schedule(caller, identity, int(time.time() * 1000), b"", headers)

    async def pull(self, batch: int, *, wait_s: float) -> list[Taken]:
        """Up to `batch` tasks that are due; raises as `Puller.pull`."""
        messages = await self._puller.pull(batch, wait_s=wait_s)
        return [self._taken(message) for message in messages]

    async def _schedule(self, caller: str, identity: str, at_ms: int, payload: bytes, headers: dict[str, str]) -> None:
        planned = {
            names.SCHEDULE: f"@at {rfc3339(at_ms * 1_000_000)}",
            names.SCHEDULE_TARGET: str(subjects.TaskDue(caller, identity)),
            names.SCHEDULE_TTL: str(TASKS_MAX_AGE_S),
        }
        subject = str(subjects.TaskLater(caller, identity))  # one schedule a subject: a later one takes its place
        await store(self._own, subject, payload, headers=headers | planned)

    async def _require_room(self, task: Call) -> None:
        info = await call(self._own, f"STREAM.INFO.{names.TASK_LATER}")
        if int(info["state"]["bytes"]) + len(task.payload) > self._room_bytes:
            raise RateLimited(
                f"{self._agent} has no more room for tasks that are put off ({self._room_bytes} bytes); leave this one "
                "when it is due, or raise storage_mb of the agent in the fleet file"
            )
        if int(info["state"]["messages"]) >= MOST_OF_A_CALLER and await self._count(task.caller) >= MOST_OF_A_CALLER:
            raise RateLimited(
                f"{task.caller} has {MOST_OF_A_CALLER} tasks at {self._agent} that are put off, and may have no more; "
                "leave this one when some of them are done, or cancel some"
            )

    async def _count(self, caller: str) -> int:
        """How many tasks of `caller` are put off: the first of them, and what the server says is behind it."""
        body = {"seq": 1, "next_by_subj": subjects.TaskLater.pattern(caller=caller), "batch": 1}
        path = f"$JS.API.DIRECT.GET.{names.TASK_LATER}"
        answer = await self._own.request(path, msgspec.json.encode(body), timeout_s=5)
        return int(answer.headers.get("Nats-Num-Pending", "-1")) + 1

    def _taken(self, message: Msg) -> Taken:
        subject = subjects.TaskDue.parse(message.subject)
        kept = {name: value for name, value in message.headers.items() if not name.lower().startswith(_SCHEDULER)}
        task = Msg(str(subjects.Task(self._agent, subject.caller)), message.reply, message.data, encode(kept))
        delivery = delivery_of(message)._replace(stream_sequence=task_sequence(subject.task))
        return Taken(task, delivery, self._own, is_due=True)


def _headers(task: Call) -> dict[str, str]:
    """What the binding knows of a task's headers; no others, which the server might obey."""
    headers = {names.A2A_VERSION: a2a.PROTOCOL_VERSION, names.CONTENT_TYPE: a2a.MEDIA_TYPE, **task.trace.headers()}
    known = {
        names.NOT_BEFORE: task.not_before_ms,
        names.DEADLINE: task.deadline_ms,
        names.A2A_EXTENSIONS: task.extensions,
        names.CHAIN: task.chain,
        names.BUDGET: None if task.budget is None else amount_text(task.budget),
    }
    return headers | {name: str(value) for name, value in known.items() if value not in {None, ""}}
