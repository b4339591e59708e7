"""Between the instances of one agent: a request about a running task goes to the instance that runs it.

The running instance listens on the task's own subject, so "nobody runs it" is known at once: the server
says that nobody listens. All of this is inside the agent's own account, where nobody else is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
import structlog

from bus.background import Background
from bus.connection import Connection, Msg, Subscription
from schemas import a2a, protojson, subjects
from schemas.errors import A2AError, DeadlineExceeded, Unavailable, error_from_body

_log = structlog.get_logger("bus")
_TIMEOUT_S = 5.0


class Command(msgspec.Struct, frozen=True):
    """What the running instance shall do: stop the task, give it a message, or only say that it runs it."""

    do: Literal["cancel", "message", "ping"]
    message: a2a.Message | None = None


Obey = Callable[[Command], Awaitable[a2a.Task]]


class TaskCommands:
    """One per instance, on the connection to the agent's own account."""

    def __init__(self, own: Connection) -> None:
        self._own = own
        self._running = Background()

    async def listen(self, caller: str, task: str, obey: Obey) -> Subscription:
        """Take commands for a task that runs here, until `forget`."""

        def on_message(message: Msg) -> None:
            self._running.begin(self._answer(message, obey))

        return await self._own.subscribe(str(subjects.TaskCommand(caller, task)), on_message)

    def forget(self, subscription: Subscription) -> None:
        """Take no more; what the server has sent already is still answered."""
        self._running.begin(self._own.drain(subscription))

    async def _answer(self, message: Msg, obey: Obey) -> None:
        if not message.reply.startswith(f"{self._own.profile.inbox_prefix}."):
            return
        try:
            answer = protojson.encode(await obey(msgspec.json.decode(message.data, type=Command)))
        except A2AError as error:
            answer = protojson.encode(error.to_body())
        try:
            await self._own.publish(message.reply, answer)
        except A2AError as error:
            _log.warning("task.command_answer_lost", subject=message.subject, reason=error.reason)

    async def give(self, caller: str, task: str, command: Command) -> a2a.Task | None:
        """The task after the command; None when nobody runs it.

        Raises:
            A2AError: what the running instance refused with; DeadlineExceeded when it does not answer.
        """
        subject = str(subjects.TaskCommand(caller, task))
        try:
            answer = await self._own.request(subject, msgspec.json.encode(command), timeout_s=_TIMEOUT_S)
        except Unavailable:
            if not self._own.is_connected:
                raise
            return None
        except DeadlineExceeded:
            raise DeadlineExceeded(f"the instance that runs task {task} does not answer") from None
        body = msgspec.json.decode(answer.data)
        if "error" in body:
            raise error_from_body(body)
        return protojson.decode(answer.data, a2a.Task)
