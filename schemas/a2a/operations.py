"""Inputs and outputs of the eleven operations. `tenant` is the path of a gateway; on the bus it means nothing.

Source: A2A v1.0 §3.
"""

from __future__ import annotations

from typing import Literal

from .objects import A2AObject, JsonObject, Message, Task, TaskState
from .push import TaskPushNotificationConfig

MEDIA_TYPE = "application/a2a+json"


class SendMessageConfiguration(A2AObject, frozen=True, kw_only=True):
    """How the caller wants to be answered. `history_length` unset means the agent's default, 0 means none."""

    accepted_output_modes: tuple[str, ...] = ()
    task_push_notification_config: TaskPushNotificationConfig | None = None
    history_length: int | None = None
    return_immediately: bool = False


class SendMessageRequest(A2AObject, frozen=True, kw_only=True):
    """Input of SendMessage, SendStreamingMessage and of a durable task."""

    message: Message
    configuration: SendMessageConfiguration = SendMessageConfiguration()
    metadata: JsonObject = {}
    tenant: str = ""


class SendMessageResponse(A2AObject, frozen=True, kw_only=True):
    """Output of SendMessage: a task when the agent tracks the work, else a message."""

    task: Task | None = None
    message: Message | None = None

    def __post_init__(self) -> None:
        if (self.task is None) == (self.message is None):
            raise ValueError("a response has exactly one of task and message")


class GetTaskRequest(A2AObject, frozen=True, kw_only=True):
    """Input of GetTask."""

    id: str
    history_length: int | None = None
    tenant: str = ""


class GetExtendedAgentCardRequest(A2AObject, frozen=True, kw_only=True):
    """Input of GetExtendedAgentCard: nothing."""

    tenant: str = ""


class ListTasksRequest(A2AObject, frozen=True, kw_only=True):
    """Input of ListTasks: the caller's own tasks, in pages of 1 to 100 (50 unless said)."""

    context_id: str = ""
    status: TaskState | Literal["", "TASK_STATE_UNSPECIFIED"] = ""
    page_size: int | None = None
    page_token: str = ""
    history_length: int | None = None
    status_timestamp_after: str = ""
    include_artifacts: bool = False
    tenant: str = ""


class ListTasksResponse(A2AObject, frozen=True, kw_only=True, omit_defaults=False):
    """A page of tasks, newest status first; `next_page_token` is empty on the last one, and never left out."""

    tasks: tuple[Task, ...]
    next_page_token: str
    page_size: int
    total_size: int


class CancelTaskRequest(A2AObject, frozen=True, kw_only=True):
    """Input of CancelTask."""

    id: str
    metadata: JsonObject = {}
    tenant: str = ""


class SubscribeToTaskRequest(A2AObject, frozen=True, kw_only=True):
    """Input of SubscribeToTask."""

    id: str
    tenant: str = ""


class GetTaskPushNotificationConfigRequest(A2AObject, frozen=True, kw_only=True):
    """Input of GetTaskPushNotificationConfig."""

    task_id: str
    id: str
    tenant: str = ""


class ListTaskPushNotificationConfigsRequest(A2AObject, frozen=True, kw_only=True):
    """Input of ListTaskPushNotificationConfigs."""

    task_id: str
    page_size: int = 0
    page_token: str = ""
    tenant: str = ""


class ListTaskPushNotificationConfigsResponse(A2AObject, frozen=True, kw_only=True):
    """The configurations of one task."""

    configs: tuple[TaskPushNotificationConfig, ...] = ()
    next_page_token: str = ""


class DeleteTaskPushNotificationConfigRequest(A2AObject, frozen=True, kw_only=True):
    """Input of DeleteTaskPushNotificationConfig."""

    task_id: str
    id: str
    tenant: str = ""


class Empty(A2AObject, frozen=True, kw_only=True):
    """Output of an operation that only acknowledges: `{}`. Source: google.protobuf.Empty."""
