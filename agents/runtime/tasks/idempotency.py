"""Tasks that a caller begins under a key of its own: a repeated call finds the task instead of beginning another.

The task's id is made of caller and key, and a task is made by compare-and-set, so of all calls at all instances one
begins it. The key lives as long as the task is kept. `messageId` plays no part: clients use one again for other things.
"""

from __future__ import annotations

import re

from agents.runtime.tasks.runs import bound
from bus.inbound import Call
from schemas import a2a, names
from schemas.errors import IdempotencyKeyReused, InvalidArgument
from schemas.ids import sha256_hex

_KEY = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def require_usable(call: Call, request: a2a.SendMessageRequest) -> None:
    """Return unless the call has a key that would promise what is not kept.

    Raises:
        InvalidArgument: it is no key, or the call begins no task.
    """
    if not call.idempotency_key:
        return
    if not _KEY.fullmatch(call.idempotency_key):
        raise InvalidArgument(f"header {names.IDEMPOTENCY_KEY} is not 1 to 128 of A-Z a-z 0-9 . _ : -")
    begins = call.operation == "SendStreamingMessage" or request.configuration.return_immediately
    if request.message.task_id or not begins:
        raise InvalidArgument(
            f"header {names.IDEMPOTENCY_KEY} goes with a call that begins a task: SendMessage with returnImmediately, "
            "or SendStreamingMessage, without a taskId"
        )


def keyed_id(call: Call) -> str:
    """The id of the task that the call's key stands for; empty without a key."""
    key = call.idempotency_key
    return f"t-{sha256_hex(f'{call.caller} {key}'.encode())[:32]}" if key else ""


def require_same(task: a2a.Task, message: a2a.Message) -> None:
    """Return when `message` is the one that the task was begun with.

    Raises:
        IdempotencyKeyReused: it is not.
    """
    wanted = bound(task, message)
    if task.history[0] != wanted or message.context_id not in {"", task.context_id}:
        raise IdempotencyKeyReused(
            f"this {names.IDEMPOTENCY_KEY} stands for task {task.id}, which was begun with another message; "
            "take a new key for a new task"
        )
