"""Where callers want to be notified of their tasks: the four operations on push notification configurations.

They are kept in the agent's own account, by caller and task. Sending is not the worker's: it has no way out
of the machine.

Source: A2A v1.0 §3.1.7 to §3.1.10.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import msgspec

from bus.audit.read import Reader
from bus.connection import Connection
from bus.inbound import Call
from bus.jetstream import Bucket
from bus.tasks import retention
from bus.tasks.states import TaskBook
from schemas import a2a, names, protojson, subjects
from schemas.errors import FieldViolation, InvalidArgument, InvalidSubject, TaskNotFound

_DELETED = {"KV-Operation": "DEL", **retention.keeping(retention.TOMBSTONE_S)}
_KEPT = retention.keeping(retention.PUSH_S)
_MOST = 16
"""Configurations of one task."""


class PushConfigs:
    """The configurations of all tasks of one agent."""

    def __init__(self, own: Connection, book: TaskBook) -> None:
        self._own = own
        self._bucket = Bucket(own, names.PUSH_BUCKET)
        self._book = book

    async def create(self, call: Call) -> a2a.TaskPushNotificationConfig:
        """CreateTaskPushNotificationConfig: a new one, or another in the place of that with the same id."""
        config = protojson.decode(call.payload or b"{}", a2a.TaskPushNotificationConfig)
        await self._book.get(call.caller, config.task_id)
        return await self._put(call.caller, config)

    async def get(self, call: Call) -> a2a.TaskPushNotificationConfig:
        """GetTaskPushNotificationConfig."""
        request = protojson.decode(call.payload or b"{}", a2a.GetTaskPushNotificationConfigRequest)
        await self._book.get(call.caller, request.task_id)
        for config in await self._all(call.caller, request.task_id):
            if config.id == request.id:
                return config
        raise TaskNotFound(f"task {request.task_id} has no push notification configuration {request.id[:70]!r}")

    async def all_of_task(self, call: Call) -> a2a.ListTaskPushNotificationConfigsResponse:
        """ListTaskPushNotificationConfigs: all of them at once; a task has few."""
        request = protojson.decode(call.payload or b"{}", a2a.ListTaskPushNotificationConfigsRequest)
        await self._book.get(call.caller, request.task_id)
        configs = tuple(await self._all(call.caller, request.task_id))
        return a2a.ListTaskPushNotificationConfigsResponse(configs=configs)

    async def delete(self, call: Call) -> a2a.Empty:
        """DeleteTaskPushNotificationConfig; deleting what is not there changes nothing."""
        request = protojson.decode(call.payload or b"{}", a2a.DeleteTaskPushNotificationConfigRequest)
        await self._book.get(call.caller, request.task_id)
        if any(config.id == request.id for config in await self._all(call.caller, request.task_id)):
            await self._write(f"{call.caller}.{request.task_id}.{request.id}", b"", _DELETED)
        return a2a.Empty()

    @staticmethod
    def require_good(settings: a2a.SendMessageConfiguration) -> None:
        """Look at the one that comes with a message, before anything is begun for it; raises as `add_from`."""
        if settings.task_push_notification_config is not None:
            _check(_named(settings.task_push_notification_config))

    async def add_from(self, caller: str, task: str, settings: a2a.SendMessageConfiguration) -> None:
        """Keep the one that came with a message.

        Raises:
            InvalidArgument: it is not one, or the task has as many as one may have.
        """
        if settings.task_push_notification_config is not None:
            config = msgspec.structs.replace(settings.task_push_notification_config, task_id=task)
            await self._put(caller, config)

    async def _put(self, caller: str, config: a2a.TaskPushNotificationConfig) -> a2a.TaskPushNotificationConfig:
        config = _named(config)
        _check(config)
        others = [known.id for known in await self._all(caller, config.task_id) if known.id != config.id]
        if len(others) >= _MOST:
            raise InvalidArgument(f"task {config.task_id} has {_MOST} configurations already; delete one first")
        await self._write(f"{caller}.{config.task_id}.{config.id}", protojson.encode(config), _KEPT)
        return config

    async def _write(self, key: str, value: bytes, headers: dict[str, str]) -> None:
        entry = await self._bucket.get(key)
        await self._bucket.put(key, value, revision=entry.revision if entry else 0, headers=headers)

    async def _all(self, caller: str, task: str) -> list[a2a.TaskPushNotificationConfig]:
        pattern = f"$KV.{names.PUSH_BUCKET}.{caller}.{task}.*"
        reader = Reader(self._own, stream=f"KV_{names.PUSH_BUCKET}")
        return [
            protojson.decode(entry.payload, a2a.TaskPushNotificationConfig)
            async for entry in reader.records(subject=pattern)
            if "KV-Operation" not in entry.headers
        ]


def _named(config: a2a.TaskPushNotificationConfig) -> a2a.TaskPushNotificationConfig:
    return msgspec.structs.replace(config, id=config.id or f"n-{os.urandom(8).hex()}")


def _check(config: a2a.TaskPushNotificationConfig) -> None:
    try:
        subjects.require_token("config", config.id)
    except InvalidSubject as error:
        raise InvalidArgument(str(error), violations=(FieldViolation("id", str(error)),)) from None
    parts = urlsplit(config.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        rule = "must be an http or https URL"
        raise InvalidArgument(f"url {rule}", violations=(FieldViolation("url", rule),))
