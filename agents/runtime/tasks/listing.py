"""ListTasks: filters and pages over a caller's tasks. Pure functions.

Source: A2A v1.0 §3.1.4.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from typing import NamedTuple, NoReturn

import msgspec

from bus.tasks.index import TaskHead
from schemas import a2a
from schemas.errors import FieldViolation, InvalidArgument

_DEFAULT_SIZE, _LARGEST = 50, 100


class Page(NamedTuple):
    """The tasks of a page by id, and what is said beside them."""

    ids: tuple[str, ...]
    next_token: str
    size: int
    total: int


def page_of(tasks: list[TaskHead], request: a2a.ListTasksRequest) -> Page:
    """The page that `request` asks for, newest status first.

    A page begins after the task that the token names, so tasks that change between two pages neither repeat
    others nor hide them.

    Raises:
        InvalidArgument: the size, the token, the time or the length is not one that may be asked for.
    """
    _require_length(request.history_length)
    size = _DEFAULT_SIZE if request.page_size is None else request.page_size
    if not 1 <= size <= _LARGEST:
        _refuse("pageSize", f"must be from 1 to {_LARGEST}")
    since = _moment(request.status_timestamp_after) if request.status_timestamp_after else None
    found = sorted((task for task in tasks if _is_wanted(task, request, since)), key=_order, reverse=True)
    after = _decoded(request.page_token) if request.page_token else None
    rest = found if after is None else [task for task in found if _order(task) < after]
    page = rest[:size]
    token = _encoded(page[-1]) if len(rest) > size else ""
    return Page(tuple(task.id for task in page), token, size, len(found))


def with_history(task: a2a.Task, length: int | None) -> a2a.Task:
    """The last `length` messages of the history; all when unset, none when 0.

    Raises:
        InvalidArgument: `length` is negative.
    """
    _require_length(length)
    if length is None:
        return task
    return msgspec.structs.replace(task, history=task.history[-length:] if length > 0 else ())


def _require_length(length: int | None) -> None:
    if length is not None and length < 0:
        _refuse("historyLength", "must not be negative")


def _is_wanted(task: TaskHead, request: a2a.ListTasksRequest, since: datetime.datetime | None) -> bool:
    return (
        request.context_id in {"", task.context_id}
        and request.status in {"", "TASK_STATE_UNSPECIFIED", task.status.state}
        and (since is None or _moment(task.status.timestamp) >= since)
    )


def _moment(timestamp: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(timestamp)
    except ValueError:
        _refuse("statusTimestampAfter", "is not an RFC 3339 time")
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _order(task: TaskHead) -> tuple[str, str]:
    return task.status.timestamp, task.id


def shown(task: a2a.Task, request: a2a.ListTasksRequest) -> a2a.Task:
    """Of a task what `request` asks for: history and artifacts only where it does."""
    known = with_history(task, request.history_length or 0)
    return known if request.include_artifacts else msgspec.structs.replace(known, artifacts=())


def _encoded(task: TaskHead) -> str:
    return base64.urlsafe_b64encode(" ".join(_order(task)).encode()).decode()


def _decoded(token: str) -> tuple[str, str]:
    try:
        timestamp, _, identity = base64.urlsafe_b64decode(token.encode()).decode().partition(" ")
    except (binascii.Error, UnicodeDecodeError):
        timestamp, identity = "", ""
    if not identity:
        _refuse("pageToken", "is not one that this agent gave; begin without one")
    return timestamp, identity


def _refuse(field: str, rule: str) -> NoReturn:
    raise InvalidArgument(f"{field} {rule}", violations=(FieldViolation(field, rule),))
