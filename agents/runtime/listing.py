"""ListTasks: filters and pages over a caller's tasks. Pure functions.

Source: A2A v1.0 §3.1.4.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from typing import NoReturn

import msgspec

from schemas import a2a
from schemas.errors import FieldViolation, InvalidArgument

_DEFAULT_SIZE, _LARGEST = 50, 100


def page_of(tasks: list[a2a.Task], request: a2a.ListTasksRequest) -> a2a.ListTasksResponse:
    """The page that `request` asks for, newest status first.

    A page begins after the task that the token names, so tasks that change between two pages neither repeat
    others nor hide them.

    Raises:
        InvalidArgument: the size or the token is not one that may be asked for.
    """
    size = _DEFAULT_SIZE if request.page_size is None else request.page_size
    if not 1 <= size <= _LARGEST:
        _refuse("pageSize", f"must be from 1 to {_LARGEST}")
    found = sorted((task for task in tasks if _is_wanted(task, request)), key=_order, reverse=True)
    after = _decoded(request.page_token) if request.page_token else None
    rest = found if after is None else [task for task in found if _order(task) < after]
    page = rest[:size]
    return a2a.ListTasksResponse(
        tasks=tuple(_shown(task, request) for task in page),
        next_page_token=_encoded(page[-1]) if len(rest) > size else "",
        page_size=size,
        total_size=len(found),
    )


def with_history(task: a2a.Task, length: int | None) -> a2a.Task:
    """The last `length` messages of the history; all when unset, none when 0.

    Raises:
        InvalidArgument: `length` is negative.
    """
    if length is None:
        return task
    if length < 0:
        _refuse("historyLength", "must not be negative")
    return msgspec.structs.replace(task, history=task.history[-length:] if length > 0 else ())


def _is_wanted(task: a2a.Task, request: a2a.ListTasksRequest) -> bool:
    return (
        request.context_id in {"", task.context_id}
        and request.status in {"", "TASK_STATE_UNSPECIFIED", task.status.state}
        and (
            not request.status_timestamp_after
            or _moment(task.status.timestamp) >= _moment(request.status_timestamp_after)
        )
    )


def _moment(timestamp: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(timestamp)
    except ValueError:
        _refuse("statusTimestampAfter", "is not an RFC 3339 time")
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _order(task: a2a.Task) -> tuple[str, str]:
    return task.status.timestamp, task.id


def _shown(task: a2a.Task, request: a2a.ListTasksRequest) -> a2a.Task:
    shown = with_history(task, request.history_length or 0)
    return shown if request.include_artifacts else msgspec.structs.replace(shown, artifacts=())


def _encoded(task: a2a.Task) -> str:
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
